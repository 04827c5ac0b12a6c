"""From whatever holds an image to the pixels that a network's preprocessing takes."""

import io
import os
from pathlib import Path

import keras
import numpy as np

from keras_segattn.image_files import open_image

# ITU-R 601, as Pillow's conversion to grey.
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype="float32")


def read_image(image):
    """Returns an image as an array `(height, width)` or `(height, width, channels)`.

    Args:
        image: Path of a file, bytes of a file, binary file object, `PIL.Image.Image`, array or
            tensor. Files and Pillow's images are turned as their EXIF data say. An array stays as
            it is, one that is mapped from a file too.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If `image` is none of these.
        ValueError: If it is empty, or no image.
    """
    if isinstance(image, (str, os.PathLike)):
        return open_image(Path(image), _pillow_array)
    if isinstance(image, (bytes, bytearray, memoryview)):
        if not len(image):
            raise ValueError("There are no bytes to read an image from.")
        return open_image(io.BytesIO(image), _pillow_array)
    if hasattr(image, "exif") or hasattr(image, "getexif"):
        return _pillow_array(image)
    if hasattr(image, "read"):
        return open_image(image, _pillow_array)
    if keras.ops.is_tensor(image):
        image = keras.ops.convert_to_numpy(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(
            "An image is a path, the bytes of a file, a PIL.Image or an array. Received: "
            f"{type(image).__name__}"
        )
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            "An image has shape (height, width) or (height, width, channels), no side being 0. "
            f"Received shape {image.shape}"
        )
    return image


def to_pixels(image, channels):
    """Returns an image, or a part of one, as float32 `(height, width, channels)` from 0 to 255.

    Args:
        image: Array `(height, width)` or `(height, width, any)` of bool, uint8, uint16, integers
            from 0 to 255 or floats from 0 to 1.
        channels: Integer. For 3, grey is repeated and the fourth channel, alpha, is dropped; for
            1, colours become grey. Any other number must be that of the image.

    Raises:
        ValueError: If the values or channels are not as above.
    """
    image = image[..., None] if image.ndim == 2 else image
    count = image.shape[-1]
    if channels in (1, 3) and count in (2, 4):
        # Grey with alpha, or RGB with alpha.
        image, count = image[..., :-1], count - 1
    if count != channels and (channels, count) not in ((3, 1), (1, 3)):
        raise ValueError(
            f"The network takes images (height, width, {channels}). Received an image with "
            f"{count} channels, of shape {image.shape}; channels are last."
        )
    pixels = _scaled(image)
    if (channels, count) == (3, 1):
        return np.repeat(pixels, 3, axis=-1)
    if (channels, count) == (1, 3):
        return (pixels @ LUMINANCE)[..., None]
    return pixels


def _scaled(image):
    if image.dtype == bool:
        return image * np.float32(255)
    if image.dtype.kind == "u" and image.dtype.itemsize == 2:
        return image.astype("float32") / 257
    if image.dtype.kind not in "iuf":
        raise ValueError(f"Pixels are integers or floats. Received dtype {image.dtype}")
    pixels = image.astype("float32")
    if image.dtype == "uint8":
        return pixels
    highest, fix = (1, "divide it, or pass uint8") if image.dtype.kind == "f" else (255, "scale it")
    # Written so that NaN fails too.
    if not (pixels.min() >= 0 and pixels.max() <= highest):
        raise ValueError(
            f"An image of {image.dtype} has values from 0 to {highest}: {fix}. Received values "
            f"from {pixels.min()} to {pixels.max()}"
        )
    return pixels * (255 / highest)


def _pillow_array(image):
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("L"))
    if image.mode.startswith("I;16") or image.mode == "F":
        return np.asarray(image)
    if image.mode == "I":
        # Pillow's 32-bit integers hold 16-bit files.
        return np.asarray(image).clip(0, 65535).astype("uint16")
    return np.asarray(image.convert("RGB"))
