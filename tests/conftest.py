import gc
import os
import tempfile
from pathlib import Path
from unittest import mock

from tests import quick_jax
from tests.once import ONCE_ON, REASON

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# On import it asks a server for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
# JAX compiles every operation for every shape: keep the compiled code for the next run.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "keras_segattn_jax_cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# TensorFlow compiles little by XLA, and stops at flags it does not know.
if os.environ.get("KERAS_BACKEND") == "jax":
    os.environ.setdefault("XLA_FLAGS", quick_jax.FLAGS)
# Two processes share the tests. If each of them had threads on all cores, torch's would wait for
# one another half of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

# Keras is imported in functions: the process that only hands out the tests does without.

# Or Python would look for garbage a thousand times while modules are imported.
gc.set_threshold(50_000, 20, 100)

# Markers of tests that run on one backend of the three.
MARKERS = {
    "tensorflow": ("tensorflow", "is about TensorFlow as the backend"),
    "once": (ONCE_ON, REASON),
}
QUICK_START = Path(__file__).parent / "quick_start"
# Files whose longest test takes 20 seconds or more. As the last tests, they would leave one of two
# workers without work.
LONG = {
    "test_instance_export.py",
    "test_notebooks.py",
    "test_several_devices.py",
    "test_training_example.py",
    "test_walks.py",
}
COLLECT, COUNT_FROZEN = gc.collect, gc.get_freeze_count
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def uncollected_garbage():
    # Keras and converters collect garbage in many calls, each time through all that is loaded.
    # Python counts frozen objects one by one.
    with mock.patch.multiple(gc, collect=lambda generation=2: 0, get_freeze_count=lambda: 1):
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_start():
    paths = [str(QUICK_START), *filter(None, [os.environ.get("PYTHONPATH")])]
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(paths)):
        yield


@pytest.fixture(autouse=True)
def fresh_session():
    import keras

    from tests.quick_weights import quick_weights

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
    monkeypatch.setattr(gc, "get_freeze_count", COUNT_FROZEN)


@pytest.fixture
def shapes_only():
    """Weights made in the test have shapes and no values, which takes time in large networks."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        yield
    # Or the next scope would give them their values.
    keras.utils.clear_session(free_memory=False)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pytest_collection_finish():
    # Python need not look for garbage among the modules.
    gc.freeze()


def pytest_collection_modifyitems(items):
    import keras

    items.sort(key=lambda item: item.path.name not in LONG)
    for item in items:
        for marker, (backend, reason) in MARKERS.items():
            if item.get_closest_marker(marker) and keras.backend.backend() != backend:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    # One of several processes has sent its results. Python would take seconds to free its memory.
    if hasattr(config, "workerinput"):
        os._exit(0)


@pytest.fixture
def shared():
    """Returns a function that finds reference material beside the project, or skips the test."""

    def find(*parts):
        path = SHARED.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"needs reference material that is not here: {'/'.join(parts)}")
        return path

    return find
