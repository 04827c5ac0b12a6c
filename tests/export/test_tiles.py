"""Windows that slide over an image, through an artifact as through the model."""

import pickle

import keras
import numpy as np
import pytest

from keras_segattn.applications import SegmentationModel
from keras_segattn.export import ExportedSegmenter, export_model, read_metadata
from keras_segattn.inference import segment
from keras_segattn.weights import Preprocessing
from tests.export.cases import (
    PATHS,
    ColorPatches,
    color_network,
    needs_runtime,
    resized_network,
)

pytestmark = pytest.mark.tensorflow


def task_network(task, activation=None):
    """A network that looks at a neighborhood, so that the borders of windows matter."""
    image = keras.Input((None, None, 3))
    channels = 1 if task == "binary" else 3
    logits = keras.layers.Conv2D(channels, 9, padding="same", name="classify")(image)
    outputs = keras.layers.Activation(activation)(logits) if activation else logits
    preprocessing = Preprocessing([0.5] * 3, [0.25] * 3)
    return SegmentationModel(image, outputs, task=task, preprocessing=preprocessing)


def compare(model, path, image, **tiles):
    exported = ExportedSegmenter(path, **tiles)
    found = exported(image)
    expected = segment(model, image, keep_probabilities=True, **tiles)
    # Rounding differs where two classes are all but equal.
    assert np.mean(found.class_map == expected.class_map) > 0.998
    assert found.class_map.dtype == expected.class_map.dtype
    return exported, found, expected


@pytest.mark.parametrize("format", PATHS)
def test_windows_as_in_keras(format, color_artifact, rng):
    model, path = color_network(), color_artifact(format)
    image = rng.integers(0, 256, (150, 211, 3), dtype="uint8")
    exported, found, expected = compare(model, path, image, tile=(64, 80), overlap=0.4)
    assert len(np.unique(found.class_map)) == 3
    probabilities = exported.probabilities(exported.to_pixels(image)[None, :64, :80])
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)
    # Windows see less than the whole image does.
    assert np.any(expected.class_map != segment(model, image).class_map)


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("activation", [None, "sigmoid"])
@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_tasks(task, activation, batch, tmp_path, rng):
    needs_runtime("onnx")
    model, path = task_network(task, activation), tmp_path / "m.onnx"
    threshold = [0.3, 0.5, 0.7] if task == "multilabel" else 0.4
    export_model(model, path, "onnx", threshold=threshold, input_shape=(batch, None, None))
    image = rng.integers(0, 256, (70, 101, 3), dtype="uint8")
    exported = ExportedSegmenter(path, tile=48, batch_size=2)
    expected = segment(model, image, tile=48, threshold=threshold, keep_probabilities=True)
    np.testing.assert_array_equal(exported(image).class_map, expected.class_map)
    assert read_metadata(path)["from_logits"] == (activation is None)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(exported))(image).class_map, expected.class_map
    )


def test_a_small_image_and_a_fixed_size(tmp_path, rng):
    needs_runtime("onnx")
    model, path = color_network(), tmp_path / "m.onnx"
    export_model(model, path, "onnx", images=ColorPatches(), input_shape=(1, 64, 96))
    image = rng.integers(0, 256, (130, 200, 3), dtype="uint8")
    expected = segment(model, image, tile=(64, 96))
    found = ExportedSegmenter(path, tile=(64, 96))(image)
    np.testing.assert_array_equal(found.class_map, expected.class_map)
    assert ExportedSegmenter(path, tile=(64, 96))(image[:20, :50]).class_map.shape == (20, 50)
    with pytest.raises(ValueError, match=r"only windows of \(64, 96\)\. Received: tile=64"):
        ExportedSegmenter(path, tile=64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network_size": (64, 64)}, r"network_size=\[64, 64\] and has no logits of the image"),
        (
            {"output": "coarse_class_map"},
            "or 'likely_class_map' and has no logits",
        ),
    ],
)
def test_artifacts_without_logits_of_full_size(options, message, tmp_path):
    needs_runtime("onnx")
    path = tmp_path / "m.onnx"
    export_model(resized_network(), path, "onnx", least_agreement=0.0, **options)
    with pytest.raises(ValueError, match=message):
        ExportedSegmenter(path, tile=64)


def test_time_is_for_all_windows_together(color_artifact, rng):
    path = color_artifact("onnx")
    exported = ExportedSegmenter(path, tile=64)
    given, run = [], exported._run
    exported._run = lambda images, timeout: given.append(timeout) or run(images)
    exported(rng.integers(0, 256, (64, 150, 3), dtype="uint8"), timeout=60.0)
    assert 60 >= given[0] > given[1] > given[2]
    with pytest.raises(TimeoutError):
        exported(rng.integers(0, 256, (64, 150, 3), dtype="uint8"), timeout=0.0)
    with pytest.raises(ValueError, match="`overlap` must be at least 0"):
        ExportedSegmenter(path, tile=64, overlap=1)
