"""Converts image values to network input."""

import warnings

import numpy as np

from keras_segattn.images.value_range import scale_to_range
from keras_segattn.wording import counted

# ITU-R 601, as in Pillow's conversion to gray.
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype="float32")


def to_pixels(image, channels, value_range=None):
    """Returns an image or a part of it as float32 `(height, width, channels)` from 0 to 255.

    Args:
        image: Array `(height, width)` or `(height, width, bands)` of bool, uint8, uint16, other
            integers from 0 to 255, or floats from 0 to 1; with a value range, any numbers.
        channels: Integer, the channels of the network. With 3, gray is repeated and the fourth
            band, alpha, is dropped, with a warning unless it is opaque everywhere. With 1, colors
            become gray. Any other number must be the number of bands.
        value_range: Tuple `(low, high)` of the values that become 0 and 255, or one tuple per band;
            values outside are clipped. Defaults to `None`: the dtype determines the range, 0 to 1
            for floats and bool, 0 to 65535 for uint16, 0 to 255 for other integers.

    Raises:
        ValueError: If the values or the number of bands do not match the description above.

    Example:

    >>> keras_segattn.images.to_pixels(np.full((2, 2), 65535, "uint16"), channels=3)[0, 0].tolist()
    [255.0, 255.0, 255.0]
    """
    image = image[..., None] if image.ndim == 2 else image
    count = image.shape[-1]
    if channels in (1, 3) and count in (2, 4):
        _tell_of_alpha(image[..., -1], channels, count)
        image, count = image[..., :-1], count - 1
    if count != channels and (channels, count) not in ((3, 1), (1, 3)):
        raise ValueError(
            f"The network takes images (height, width, {channels}). Received an image with "
            f"{counted(count, 'channel')}, of shape {image.shape}; channels are last."
        )
    pixels = _scaled(image) if value_range is None else scale_to_range(image, value_range)
    if (channels, count) == (3, 1):
        return np.repeat(pixels, 3, axis=-1)
    if (channels, count) == (1, 3):
        return (pixels @ LUMINANCE)[..., None]
    return pixels


def to_uint8(image, channels, value_range=None):
    """Returns the pixels of an image like `to_pixels`, rounded to uint8.

    Args:
        image: Array, as for `to_pixels`.
        channels: Integer, as for `to_pixels`.
        value_range: As for `to_pixels`. Defaults to `None`.

    Example:

    >>> keras_segattn.images.to_uint8(np.full((2, 2, 3), 0.5), channels=1)[0, 0].tolist()
    [128]
    """
    if value_range is None and image.dtype == "uint8" and image.shape[2:] == (channels,):
        return image
    return np.rint(to_pixels(image, channels, value_range)).astype("uint8")


def to_rgb(image, value_range=None):
    """Returns an image with any number of bands as uint8 RGB, for display.

    One or two bands become gray; bands after the third are dropped.

    Args:
        image: Array, as for `to_pixels`.
        value_range: As for `to_pixels`. Defaults to `None`.

    Example:

    >>> keras_segattn.images.to_rgb(np.zeros((4, 6, 12), "uint8")).shape
    (4, 6, 3)
    """
    image = image[..., None] if image.ndim == 2 else image
    bands = 3 if image.shape[-1] >= 3 else 1
    if np.ndim(value_range) == 2:
        value_range = value_range[:bands]
    return to_uint8(image[..., :bands], 3, value_range)


def _scaled(image):
    if image.dtype == bool:
        return image * np.float32(255)
    if image.dtype == "uint16":
        return image.astype("float32") / 257
    if image.dtype.kind not in "iuf":
        raise ValueError(f"Pixels must be integers or floats. Received dtype {image.dtype}")
    pixels = image.astype("float32")
    if image.dtype == "uint8":
        return pixels
    highest = 1 if image.dtype.kind == "f" else 255
    # Written so that NaN also fails.
    if not (pixels.min() >= 0 and pixels.max() <= highest):
        raise ValueError(
            f"A {image.dtype} image must have values from 0 to {highest}: scale it, or pass its "
            "`value_range` to the data set and the model's preprocessing. Received values from "
            f"{pixels.min()} to {pixels.max()}"
        )
    return pixels * np.float32(255 / highest)


def _tell_of_alpha(band, channels, count):
    kind = band.dtype
    opaque = np.iinfo(kind).max if kind.kind == "u" else 255 if kind.kind == "i" else 1
    if not np.all(band == opaque):
        warnings.warn(
            f"The last of {count} bands of an image is treated as alpha and dropped, although it "
            f"is not opaque everywhere. If it holds data, use a network and a data set of {count} "
            f"channels, not {channels}.",
            stacklevel=3,
        )
