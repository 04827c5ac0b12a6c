"""Reads an image from a path, bytes, a file object, a Pillow image, an array or a tensor."""

import os
import sys

import numpy as np

from keras_segattn.arguments import check_choice
from keras_segattn.images.decoding import check_shape, decode, decode_pillow

# Values of these modes are returned unchanged; other modes become RGB.
PLAIN_MODES = ("L", "LA", "RGB", "RGBA", "RGBX", "F", "I")


def read_image(image, most_pixels=None, channel_order="RGB"):
    """Returns an image as an array `(height, width)` or `(height, width, bands)`.

    The whole package uses this function: data sets, `segment`, exports and their calibration, the
    server and the demo page.

    Files are BMP, GIF, JPEG, PNG, PPM, TIFF, WebP or NumPy's `.npy`; from a path also AVIF,
    JPEG 2000, PCX, QOI, SGI and TGA, if the installed Pillow supports them. If a file contains
    several images, the first one is read, unless tifffile or ImageJ marked the pages as bands. The
    EXIF orientation is applied. Palettes, CMYK and other color spaces become RGB. Gray, alpha and
    further bands are kept, with the dtype of gray values. PPM files are scaled to their highest
    value. TIFF files with 16-bit or float colors, or with more bands than Pillow reads, require the
    package `tifffile`.

    16-bit colors are kept from PNG, PPM, TIFF and `.npy` files. Pillow reduces them to 8 bits in
    AVIF, JPEG 2000 and SGI files and in every `PIL.Image.Image`.

    Args:
        image: Path of a file, bytes of a file, binary file object, `PIL.Image.Image`, array or
            tensor. An array is returned unchanged, even if it is memory-mapped.
        most_pixels: Integer, the maximum number of pixels; a larger file is rejected before
            decoding. Defaults to `None`, Pillow's limit.
        channel_order: `"RGB"` or `"BGR"`, the color order of an array or tensor with three or four
            bands; OpenCV uses BGR. Ignored for files and Pillow images. Defaults to `"RGB"`.

    Raises:
        FileNotFoundError: If the file does not exist.
        TypeError: If `image` has another type.
        ImageFormatError: If the content is not an image in a known format.
        ImageSizeError: If it has more than `most_pixels` pixels, or is a JPEG file with more than
            100 scans.
        ValueError: If it is empty or damaged. The two errors above are also ValueErrors.

    Example:

    >>> keras_segattn.images.read_image(np.zeros((4, 6, 3), "uint8")).shape
    (4, 6, 3)
    """
    check_choice("channel_order", channel_order, ("RGB", "BGR"))
    if isinstance(image, (bytes, bytearray, memoryview)):
        if not len(image):
            raise ValueError("There are no bytes to read an image from.")
        return read_file(image, most_pixels).pixels
    if isinstance(image, (str, os.PathLike)):
        return read_file(image, most_pixels).pixels
    if hasattr(image, "getexif"):
        return decode_pillow(image, pillow_array).pixels
    if hasattr(image, "read") and not hasattr(image, "seekable"):
        raise TypeError(
            "A binary file must be seekable; pass the frames of a video one by one, or as a "
            f"generator. Received: {image!r}"
        )
    if hasattr(image, "read"):
        return read_file(image, most_pixels).pixels
    image = check_shape(_as_array(image))
    if channel_order == "BGR" and image.ndim == 3 and image.shape[-1] in (3, 4):
        return image[..., [2, 1, 0, 3][: image.shape[-1]]]
    return image


def read_file(source, most_pixels=None):
    """Reads an image file like `read_image`.

    Args:
        source: Path, bytes, or binary file object.
        most_pixels: As for `read_image`.

    Returns:
        A `Decoded`, with the stored orientation of the file.
    """
    return decode(source, pillow_array, most_pixels)


def pillow_array(image):
    """Returns the pixels of an upright `PIL.Image.Image`, as `read_image` describes."""
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode in ("La", "RGBa"):
        return np.asarray(image.convert(image.mode.upper()))
    if image.mode in PLAIN_MODES:
        return np.asarray(image)
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype("uint16")
    return np.asarray(image.convert("RGB"))


def _as_array(image):
    if isinstance(image, np.ndarray):
        return image
    # A tensor exists only if its library is already imported, so no library is imported here.
    keras = sys.modules.get("keras")
    if keras is not None and keras.ops.is_tensor(image):
        return keras.ops.convert_to_numpy(image)
    if hasattr(image, "__array__"):
        return np.asarray(image)
    raise TypeError(
        "An image must be a path, the bytes of a file, a PIL.Image or an array. Received: "
        f"{type(image).__name__}"
    )
