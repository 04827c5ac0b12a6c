"""Preprocessing for backbones with ImageNet weights."""

import keras
import numpy as np

from keras_segattn.backbones.image_input import check_channels_last
from keras_segattn.weights.preprocessing import IMAGENET


def preprocess_input(images, data_format=None):
    """Normalizes RGB images with ImageNet's mean and standard deviation.

    `y = (x / 255 - mean) / standard deviation`, per channel. All downloaded
    `backbone_weights="imagenet"` expect it. Prefer `model.preprocessing`, which is correct for any
    weights.

    Args:
        images: Array, tensor or Keras tensor of shape `(batch, height, width, 3)` or
            `(height, width, 3)`, RGB, with values from 0 to 255, of any dtype. Inside a `tf.data`
            pipeline it works on every backend.
        data_format: `"channels_last"` or `None`, as in `keras.applications`. Defaults to `None`.

    Returns:
        Array or tensor, like the images, of the same shape, in Keras's default float type.

    Raises:
        ValueError: If the images do not have three channels, or `data_format` is
            `"channels_first"` or unknown.

    Example:

    >>> image = np.full((1, 2, 2, 3), 128, "uint8")
    >>> [round(float(value), 2) for value in preprocess_input(image)[0, 0, 0]]
    [0.07, 0.21, 0.43]
    """
    check_channels_last(data_format)
    y = IMAGENET(images)
    return keras.ops.convert_to_numpy(y) if isinstance(images, np.ndarray) else y
