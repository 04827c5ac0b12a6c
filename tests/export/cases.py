"""Small networks, and the formats to export them to."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import SegmentationModel, canet
from keras_segattn.data import SegmentationDataset
from keras_segattn.layers import ResizeLike
from keras_segattn.weights import Preprocessing
from tests.applications.cases import tiny_backbone
from tests.training import call

NAMES = ["road", "car", "tree", "sky", "person"]
PALETTE = [(128, 64, 128), (0, 0, 142), (107, 142, 35), (70, 130, 180), (220, 20, 60)]
PATHS = {
    "saved_model": "saved",
    "onnx": "m.onnx",
    "onnx_cpu": "cpu.onnx",
    "litert": "m.tflite",
    "openvino": "ov",
}


def needs_runtime(format):
    modules = {
        "onnx": "onnxruntime",
        "onnx_cpu": "onnxruntime",
        "litert": "ai_edge_litert",
        "openvino": "openvino",
    }
    if format in modules:
        pytest.importorskip(modules[format], reason=f"{format} needs {modules[format]}")


def expected(model, image):
    return call(model, canet.preprocess_input(image[None])).argmax(-1)


class ColorPatches(SegmentationDataset):
    """Patches of red, green and blue, which 8 bits cannot get wrong."""

    classes, palette = ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255))

    def __len__(self):
        return 12

    def read(self, index):
        rng = np.random.default_rng(index)
        mask = np.kron(rng.integers(0, 3, (4, 6)), np.ones((16, 16), int)).astype("uint8")
        image = 40 + 150 * np.eye(3)[mask] + rng.normal(0, 10, (*mask.shape, 3))
        return image.clip(0, 255).astype("uint8"), mask


def color_network():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="features")(image)
    x = keras.layers.AveragePooling2D(2)(x)
    # Computes with sizes where they are free, which 8 bits could not hold.
    x = ResizeLike()([keras.layers.Conv2D(3, 1, name="classify")(x), image])
    model = SegmentationModel(
        image, x, preprocessing=Preprocessing([0.5] * 3, [0.25] * 3), class_names=tuple("rgb")
    )
    kernel = np.random.default_rng(0).normal(0, 0.05, (3, 3, 3, 8))
    kernel[1, 1] += np.eye(3, 8)
    model.get_layer("features").kernel.assign(kernel)
    model.get_layer("classify").kernel.assign(4 * np.eye(8, 3)[None, None])
    return model


def resized_network(classes=5, **arguments):
    """One convolution with a stride of 8, and logits that are resized to the size of the image."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(classes, 9, strides=8, padding="same")(image)
    logits = ResizeLike(align_corners=True, name="logits")([x, image])
    return SegmentationModel(image, logits, **arguments)


def small_network(function, **arguments):
    return function(classes=5, backbone=tiny_backbone(), filters=16, **arguments)
