"""Networks whose answer is known."""

import keras
import numpy as np

from keras_segattn.applications import SegmentationModel
from keras_segattn.weights import Preprocessing


def pixelwise(channels=3, classes=3, size=(None, None)):
    """A network whose class is the brightest channel and so known."""
    image = keras.Input((*size, channels))
    logits = keras.layers.Conv2D(classes, 1, use_bias=False, name="classify")(image)
    preprocessing = Preprocessing([0.0] * channels, [1.0] * channels)
    model = SegmentationModel(image, logits, preprocessing=preprocessing)
    kernel = 9 * np.eye(channels, classes)
    model.get_layer("classify").kernel.assign(kernel[None, None])
    return model
