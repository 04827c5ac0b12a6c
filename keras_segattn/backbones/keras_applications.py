"""Networks of `keras.applications` as feature pyramids."""

import inspect
import sys
from pathlib import Path

import keras
import numpy as np

from keras_segattn.backbones.stages import level_sizes, levels_by_stride
from keras_segattn.weights.preprocessing import Preprocessing
from keras_segattn.wording import counted

SMALLEST_SIDE = 32


def application_names():
    """Returns the sorted names of all networks of `keras.applications`."""
    members = inspect.getmembers(keras.applications, inspect.isfunction)
    return sorted(name for name, _ in members if name[0].isupper())


def keras_application(name, channels=3, weights=None):
    """Returns a network of `keras.applications` without its classifier, as a feature pyramid.

    The levels are found by their strides (see `levels_by_stride`). Some of these networks round odd
    sizes down, so a level may have one row or column less than `ceil(height / 2**n)`. Those with
    Keras's `padding="same"`, such as EfficientNetV2, shift their maps by a pixel where a size is
    odd: train and predict with heights and widths divisible by 32, or with the same size.

    Args:
        name: Name of the network, such as `"EfficientNetV2B0"`.
        channels: Integer, the number of channels of the images. Defaults to `3`.
        weights: `None` for random weights; `"imagenet"`, downloaded once by Keras; or the path of a
            file that the network reads. Defaults to `None`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)` to a dict of feature maps.
        Its attribute `preprocessing` is the network's own; it is a no-op for networks that
        normalize pixels from 0 to 255 themselves.

    Raises:
        ConnectionError: If Keras cannot download the weights.
        FileNotFoundError: If the weights file does not exist.
        ValueError: If the network does not exist, it cannot read images of every size from 32x32
            up, or the weights do not fit.

    Example:

    >>> pyramid = keras_application("MobileNet")
    >>> [tensor.shape[-1] for tensor in pyramid.output.values()]
    [128, 256, 512, 1024]
    """
    if name not in application_names():
        raise ValueError(
            f"keras.applications has no network {name!r}. It has: {application_names()}"
        )
    if weights == "imagenet" and channels != 3:
        raise ValueError(
            f"The ImageNet weights of keras.applications.{name} read images of 3 channels. "
            f"Received: {counted(channels, 'channel')}"
        )
    constructor = getattr(keras.applications, name)
    model = _build(constructor, channels, weights)
    try:
        levels = levels_by_stride(model)
        pyramid = keras.Model(model.input, levels, name=model.name)
        smallest = level_sizes(pyramid, SMALLEST_SIDE, SMALLEST_SIDE)
        fits = all(min(size) > 0 for size in smallest.values())
    except ValueError:
        # Keras raises it for an unpadded convolution on too small a map, and for a sum of maps with
        # different sizes.
        fits = False
    if not fits:
        raise ValueError(
            f"keras.applications.{name} cannot be a backbone: without padding at the borders, or "
            f"with padding for one size only, it has no maps at strides 4 to 32 for images of any "
            f"size from {SMALLEST_SIDE}x{SMALLEST_SIDE}. Networks of the families ConvNeXt, "
            "DenseNet, EfficientNet, EfficientNetV2, MobileNet, ResNet, VGG and Xception work."
        )
    module = sys.modules[constructor.__module__]
    pyramid.preprocessing = preprocessing_of_function(module.preprocess_input, channels)
    return pyramid


def preprocessing_of_function(preprocess_input, channels=3):
    """Returns the `Preprocessing` equivalent to a `preprocess_input` of `keras.applications`.

    Args:
        preprocess_input: Function that takes RGB images with values from 0 to 255, scales and
            shifts each channel, and may turn RGB into BGR.
        channels: Integer, the number of channels of the images. Defaults to `3`.

    Returns:
        A `Preprocessing` for that number of channels.
    """
    # Black, and pure red, green and blue, each of which changes one channel.
    colors = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)])
    black, *primaries = np.array(preprocess_input(colors[:, None, None].copy()))[:, 0, 0]
    changes = np.array(primaries) - black
    bgr = changes[0, 0] == 0
    std = 1 / changes.sum(axis=0)
    # Adding zero turns negative zero into zero.
    preprocessing = Preprocessing(-black * std + 0.0, std, "BGR" if bgr else "RGB")
    return preprocessing.for_channels(channels)


def _build(constructor, channels, weights):
    name = f"keras.applications.{constructor.__name__}"
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise FileNotFoundError(
            f"No weights file at {weights}. Pass the path of a file of {name}, or 'imagenet'."
        )
    try:
        return constructor(include_top=False, input_shape=(None, None, channels), weights=weights)
    except Exception as error:
        # Keras raises a bare Exception if a download fails.
        if weights not in (None, "imagenet"):
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"{weights} was not loaded into {name}: {reason} Pass a file that "
                f"{name}(include_top=False) has written with `save_weights`, or the file without "
                "the classifier that Keras publishes, whose name ends in `no_top.h5` or `notop.h5`."
            ) from error
        if "URL fetch failure" not in str(error):
            raise
        raise ConnectionError(
            f"Keras could not download the ImageNet weights of {constructor.__name__}: {error}. "
            "Without a connection, download the file elsewhere and pass its path instead of "
            "'imagenet'."
        ) from None
