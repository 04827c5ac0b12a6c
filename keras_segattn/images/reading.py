"""Reading an image from anything that holds one."""

import os
import sys

import numpy as np

from keras_segattn.arguments import check_choice
from keras_segattn.images.decoding import check_shape, decode, decode_pillow

# Values of these modes are returned as they are; other modes become RGB.
PLAIN_MODES = ("L", "LA", "RGB", "RGBA", "RGBX", "F", "I")


def read_image(image, most_pixels=None, channel_order="RGB"):
    """Returns an image as an array `(height, width)` or `(height, width, bands)`.

    All of the package reads images here: data sets, `segment`, exports and their calibration, the
    server and the page.

    Files are BMP, GIF, JPEG, PNG, PPM, TIFF, WebP or NumPy's `.npy`; from a path also AVIF,
    JPEG 2000, PCX, QOI, SGI and TGA, as far as the installed Pillow reads them. The first image of
    a file that holds several is read, except where tifffile or ImageJ noted that the pages are
    bands. Images are turned upright as their EXIF orientation says. Palettes, CMYK and other color
    spaces become RGB; gray, alpha and further bands, and the dtype of gray values, stay as they are
    in the file. PPM files are scaled to their highest value. TIFF files with colors of 16 bits or
    floats, or with more bands than Pillow reads, need the package `tifffile`.

    Colors of 16 bits stay so in PNG, PPM, TIFF and `.npy` files. Pillow reads them with 8 bits from
    AVIF, JPEG 2000 and SGI files, and holds them so in a `PIL.Image.Image`.

    Args:
        image: Path of a file, bytes of a file, binary file object, `PIL.Image.Image`, array or
            tensor. An array is returned as it is, even if it is mapped from a file.
        most_pixels: Integer, the number of pixels above which a file is refused before it is
            decoded. Defaults to `None`, Pillow's bound.
        channel_order: `"RGB"` or `"BGR"`, the order of the colors of an array or tensor of three or
            four bands; OpenCV's are in BGR. Files and Pillow's images know their own. Defaults to
            `"RGB"`.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If `image` is none of these.
        ImageFormatError: If the content is not an image of a known format.
        ImageSizeError: If it has more than `most_pixels`, or is a JPEG file of more than 100 scans.
        ValueError: If it is empty or damaged. The two errors above are ValueErrors too.

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
            "A binary file can be sought in; a video gives its frames one by one, or as a "
            f"generator. Received: {image!r}"
        )
    if hasattr(image, "read"):
        return read_file(image, most_pixels).pixels
    image = check_shape(_as_array(image))
    if channel_order == "BGR" and image.ndim == 3 and image.shape[-1] in (3, 4):
        return image[..., [2, 1, 0, 3][: image.shape[-1]]]
    return image


def read_file(source, most_pixels=None):
    """Reads an image file, as `read_image` does.

    Args:
        source: Path, bytes, or binary file object.
        most_pixels: As for `read_image`.

    Returns:
        A `Decoded`, which knows the orientation that the file was stored in.
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
    # A tensor can only come from a program that has imported its library, so none is imported here.
    keras = sys.modules.get("keras")
    if keras is not None and keras.ops.is_tensor(image):
        return keras.ops.convert_to_numpy(image)
    if hasattr(image, "__array__"):
        return np.asarray(image)
    raise TypeError(
        "An image is a path, the bytes of a file, a PIL.Image or an array. Received: "
        f"{type(image).__name__}"
    )
