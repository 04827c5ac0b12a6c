import gc
import os
import tempfile
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# On import it asks a server for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
# JAX compiles every operation for every shape: keep the compiled code for the next run.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "keras_segattn_jax_cache")
)
# Tests run compiled code once or twice, so fast compilation matters. At level 0 some gradients of
# a maximum are not finite. TensorFlow compiles little by XLA, and stops at flags it does not know.
if os.environ.get("KERAS_BACKEND") == "jax":
    os.environ.setdefault(
        "XLA_FLAGS", "--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false"
    )
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import keras
import numpy as np
import pytest

from tests.quick_weights import quick_weights

# Markers of tests that run on one backend of the three.
ONLY_ON_TENSORFLOW = {
    "tensorflow": "is about TensorFlow as the backend",
    "once": "is the same on every backend, and runs on TensorFlow",
}
COLLECT = gc.collect
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def uncollected_garbage():
    # Keras and converters collect garbage in many calls, each time through all that is loaded.
    with mock.patch.object(gc, "collect", lambda generation=2: 0):
        yield


@pytest.fixture(autouse=True)
def fresh_session():
    # TensorFlow's seed, which Keras does not draw from, would empty the cache of its kernels.
    with mock.patch("tensorflow.random.set_seed"):
        keras.utils.set_random_seed(0)
    with quick_weights():
        yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def collected_garbage(monkeypatch):
    """`gc.collect` works, for objects that are made in the test."""
    COLLECT()
    gc.freeze()
    monkeypatch.setattr(gc, "collect", COLLECT)


@pytest.fixture
def shapes_only():
    """Weights made in the test have shapes and no values, which takes time in large networks."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    # Or the next scope would give them their values.
    keras.utils.clear_session(free_memory=False)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pytest_collection_finish():
    # Python need not look for garbage among the modules, nor often.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def pytest_collection_modifyitems(items):
    # They wait for processes that they start: as the last tests, they would keep one worker only.
    items.sort(key=lambda item: item.path.name != "test_several_devices.py")
    if keras.backend.backend() == "tensorflow":
        return
    for item in items:
        for marker, reason in ONLY_ON_TENSORFLOW.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def shared():
    """Returns a function that finds reference material beside the project, or skips the test."""

    def find(*parts):
        path = SHARED.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"needs reference material that is not here: {'/'.join(parts)}")
        return path

    return find
