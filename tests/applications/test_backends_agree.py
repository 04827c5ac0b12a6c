"""The same file of weights gives the same logits on every backend."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import quick_jax
from tests.applications.cases import CASES
from tests.training import randomize, to_numpy

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
import keras, keras_segattn
import numpy as np
from tests.quick_weights import quick_weights

folder, *names = sys.argv[1:]
image = np.load(f"{folder}/image.npy")
for name in names:
    with quick_weights():
        model = keras.saving.load_model(f"{folder}/{name}.keras")
    np.save(f"{folder}/{name}.{keras.backend.backend()}.npy", model.predict(image, verbose=0))
"""


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """A folder of networks and an image, and TensorFlow's logits."""
    folder, logits = tmp_path_factory.mktemp("networks"), {}
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 45, 70, 3)).astype("float32")
    np.save(folder / "image.npy", image)
    for name, make in CASES.items():
        model = make()
        randomize(model, rng)
        logits[name] = to_numpy(model(image))
        model.save(folder / f"{name}.keras")
    return folder, logits


@pytest.mark.tensorflow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_same_weights_same_logits(backend, wanted):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    folder, logits = wanted
    command = [sys.executable, "-c", SCRIPT, str(folder), *logits]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    if backend == "jax":
        environment["XLA_FLAGS"] = quick_jax.FLAGS
    subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True)
    for name, want in logits.items():
        got = np.load(folder / f"{name}.{backend}.npy")
        np.testing.assert_allclose(got, want, atol=1e-4 * max(1, np.abs(want).max()))
