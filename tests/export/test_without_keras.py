"""Running an artifact: no Keras, no backend, and threads may share it."""

import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

from keras_segattn.export import ExportedSegmenter, load_exported
from tests.export.cases import PATHS, ColorPatches

pytestmark = pytest.mark.tensorflow
IMPORTING = """
import sys
import keras_segattn.export
from keras_segattn.export import ExportedSegmenter, load_exported, read_metadata
"""
RUNNING = f"""{IMPORTING}
import numpy as np
path, allowed = sys.argv[1], set(sys.argv[2:])
image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype="uint8")
found = ExportedSegmenter(path)(image)
assert found.class_map.shape == (40, 50)
assert found.overlay().shape == image.shape
assert list(found.shares()) == ["r", "g", "b"]
heavy = {{"keras", "tensorflow", "jax", "torch", "onnx", "matplotlib"}}
assert not heavy & set(sys.modules) - allowed, heavy & set(sys.modules)
"""


def run(script, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.parametrize("format", PATHS)
def test_an_artifact_runs_without_keras(format, color_artifact):
    # TensorFlow itself imports Keras, and JAX where it is installed.
    allowed = ["tensorflow", "keras", "jax", "matplotlib"] if format == "saved_model" else []
    run(RUNNING, color_artifact(format), *allowed)


@pytest.mark.parametrize("format", PATHS)
def test_threads_share_an_artifact(format, color_artifact):
    run = load_exported(color_artifact(format), threads=None)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 1, 80, 120, 3), dtype="uint8")
    expected = [run(image) for image in images]
    wrong, start = [], threading.Barrier(3)

    def work(first):
        start.wait()
        for turn in range(8):
            index = (first + turn) % len(images)
            found = run(images[index])
            if any(np.any(found[name] != expected[index][name]) for name in expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(2 * number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("format", PATHS)
def test_other_processes_load_it_again(format, color_artifact, monkeypatch):
    path, (image, _) = color_artifact(format), ColorPatches().read(0)
    monkeypatch.chdir(path.parent)
    segment = ExportedSegmenter(path.name)
    pickled = pickle.dumps(segment)
    assert len(pickled) < 1000
    monkeypatch.chdir("/")
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again(image).class_map, segment(image).class_map)


def test_logits_only_where_they_are_asked_for(color_artifact):
    path = color_artifact("onnx")
    image, _ = ColorPatches().read(0)
    with_logits, without = (load_exported(path, logits=logits) for logits in (True, False))
    assert set(with_logits(image[None])) == {"class_map", "logits"}
    assert set(without(image[None])) == {"class_map"}


def test_importing_what_runs_artifacts_imports_no_backend():
    run(f"{IMPORTING}\nassert not {{'keras', 'tensorflow', 'jax', 'torch'}} & set(sys.modules)")
