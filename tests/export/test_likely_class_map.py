"""Class maps of the likely classes."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import AttaNet
from keras_segattn.export import export_model, load_exported, read_metadata
from keras_segattn.export.likely_class_map import LikelyClassMap
from keras_segattn.export.serving_model import serving_model
from keras_segattn.layers import ResizeLike
from tests.applications.cases import tiny_backbone
from tests.export.cases import PATHS, needs_runtime, small_network

CLASSES = 40


def scene(rng, batch=2, height=12, width=16):
    """Logits of regions of 4x4 pixels, with noise, of which few classes are likely."""
    regions = rng.integers(0, CLASSES, (batch, height // 4, width // 4))
    regions = regions.repeat(4, axis=1).repeat(4, axis=2)
    logits = 6 * np.eye(CLASSES)[regions] + rng.normal(size=(batch, height, width, CLASSES))
    return logits.astype("float32")


def all_classes(logits, reference, align_corners):
    resized = ResizeLike(align_corners=align_corners)([logits, reference])
    return keras.ops.convert_to_numpy(resized).argmax(axis=-1)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(96, 128), (31, 45), (5, 16), (1, 1)])
def test_the_best_class_is_likely(align_corners, size, rng):
    logits, reference = scene(rng), np.zeros((2, *size, 3), "float32")
    expected = all_classes(logits, reference, align_corners)
    for likely, least in ((8, 0.999), (CLASSES, 1), (100, 1)):
        layer = LikelyClassMap.from_config(LikelyClassMap(align_corners, likely).get_config())
        found = keras.ops.convert_to_numpy(layer([logits, reference]))
        assert (found.shape, found.dtype) == (expected.shape, "int32")
        assert np.mean(found == expected) >= least
    # One pixel high and wide.
    (found,) = keras.ops.convert_to_numpy(layer([logits[:1, :1, :1], reference]))
    np.testing.assert_array_equal(found, logits[0, 0, 0].argmax())


def decoder():
    """Takes logits in the place of images, at an eighth of their size."""
    images = keras.Input((None, None, CLASSES))
    x = keras.layers.MaxPooling2D(8)(images)
    return keras.Model(images, ResizeLike(name="logits")([x, images]))


@pytest.mark.tensorflow
@pytest.mark.parametrize("format", PATHS)
@pytest.mark.parametrize("input_shape", [(None, None, None), (1, 96, 128)])
def test_likely_class_maps_in_every_format(format, input_shape, rng, tmp_path):
    needs_runtime(format)
    path, (logits,) = tmp_path / PATHS[format], scene(rng, batch=1)
    image = logits.repeat(8, axis=0).repeat(8, axis=1)
    options = {"input_shape": input_shape, "preprocessing": False, "images": [image]}
    report = export_model(decoder(), path, format, output="likely_class_map", **options)
    assert report.agreement >= 0.999
    assert read_metadata(path)["resized"] == "class_map"
    assert read_metadata(path)["output"] == "class_map"
    (found,) = load_exported(path)(image[None])["class_map"]
    (expected,) = all_classes(logits[None], image[None], False)
    assert np.mean(found == expected) >= 0.999


def test_likely_class_maps_from_every_backend(images, tmp_path):
    needs_runtime("onnx")
    model, path = small_network(AttaNet), tmp_path / "m.onnx"
    export_model(model, path, "onnx", output="likely_class_map", images=images)
    expected = serving_model(model, model.preprocessing)(images[0][None])["class_map"]
    found = load_exported(path)(images[0][None])["class_map"]
    assert np.mean(found == keras.ops.convert_to_numpy(expected)) >= 0.999


@pytest.mark.tensorflow
def test_missed_classes_are_reported(rng, tmp_path):
    needs_runtime("onnx")
    noise = rng.normal(size=(96, 128, CLASSES)).astype("float32")
    options = {"output": "likely_class_map", "preprocessing": False, "images": [noise]}
    with pytest.raises(RuntimeError, match="gives another class than the model for"):
        export_model(decoder(), tmp_path / "m.onnx", "onnx", **options)
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("binary", {}, "A pixel of a binary model has no best class"),
        ("multilabel", {}, "A pixel of a multilabel model has no best class"),
        ("multiclass", {"network_size": (64, 96)}, r"Received: network_size=\(64, 96\)"),
    ],
)
def test_what_has_no_likely_class_map(task, options, message):
    classes = 1 if task == "binary" else 5
    model = AttaNet(classes=classes, backbone=tiny_backbone(), filters=16, task=task)
    with pytest.raises(ValueError, match=message):
        serving_model(model, None, "likely_class_map", **options)
