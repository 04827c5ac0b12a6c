"""Decodes image files, with errors that name the file."""

import contextlib
import io
import os
import re
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_segattn.images.colors_of_16_bits import has_colors_of_16_bits, read_colors_of_16_bits
from keras_segattn.images.formats import FILE_FORMATS, FORMATS, ImageFormatError, ImageSizeError

ORIENTATION = 0x0112
TIFF_SAMPLE_FORMAT, TIFF_BITS, TIFF_SAMPLES = 339, 258, 277
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TIFF_DESCRIPTION = 270
COLORS = ("RGB", "RGBA", "RGBX")
# Axes of files whose pages are bands, and the marks of tifffile and ImageJ in descriptions.
PAGES_OF_BANDS = ("CYX", "QYX")
NOTES_OF_BANDS = ('"shape"', "channels=")
NPY_MAGIC = b"\x93NUMPY"
# MP4 and QuickTime except HEIC and AVIF, Matroska and WebM, AVI, and MPEG.
VIDEO_HEAD = re.compile(
    rb"....ftyp(?!hei|hev|mif|msf|avi)|\x1a\x45\xdf\xa3|RIFF....AVI |\0\0\x01[\xba\xb3]",
    re.DOTALL,
)
VIDEO = (
    "; it is a video, for `keras_segattn.inference.segment_video`; or read its frames, with OpenCV "
    "for example, and pass them one by one or as a generator, with channel_order='BGR' for "
    "OpenCV's frames"
)
# Each scan of a progressive JPEG costs a pass over all pixels; encoders write about ten scans.
MOST_SCANS = 100
# The next marker after entropy-coded data, not a stuffed byte, a restart or a fill byte.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
# By SampleFormat and BitsPerSample. Pillow reads the first type as uint8 and the others as int32.
TIFF_INTEGERS = {(2, 8): "int8", (2, 16): "int16", (2, 32): "int32", (1, 32): "uint32"}


class Decoded(NamedTuple):
    """A decoded image.

    Attributes:
        pixels: Array `(height, width)` or `(height, width, bands)`.
        orientation: EXIF orientation of the file, 1 to 8.
        format: Name of the format, such as `"JPEG"`.
        turned: Boolean, whether the pixels have been turned upright.
    """

    pixels: np.ndarray
    orientation: int
    format: str
    turned: bool


def decode(source, from_pillow, most_pixels=None, upright=True):
    """Decodes an image file.

    Args:
        source: Path of a file, bytes, or binary file object.
        from_pillow: Callable from a `PIL.Image.Image` to an array.
        most_pixels: Integer, the maximum number of pixels; a larger image is rejected. Defaults to
            `None`, Pillow's limit.
        upright: Boolean, whether to apply the EXIF orientation. It is always applied to TIFF files.
            Defaults to `True`.

    Returns:
        A `Decoded`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If Pillow is not installed.
        ImageFormatError: If the content is not an image in a known format.
        ImageSizeError: If the image has too many pixels or scans.
        ValueError: If the content is damaged, or `from_pillow` raises this error. The two errors
            above are also ValueErrors; all messages name the file.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Reading images requires Pillow: pip install 'keras-segattn[data]'"
        ) from error
    faults = (OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError, OverflowError)
    name = source if isinstance(source, (str, os.PathLike)) else "The data"
    try:
        with _opened(source) as file:
            formats = (*FORMATS, *FILE_FORMATS) if name is source else tuple(FORMATS)
            return _decode(file, from_pillow, formats, most_pixels, upright)
    except FileNotFoundError:
        raise
    except (ImageSizeError, ImageFormatError) as error:
        raise type(error)(f"{name} cannot be read as an image: {error}") from error
    except Image.DecompressionBombError as error:
        raise ImageSizeError(f"{name} cannot be read as an image: {error}") from error
    except faults as error:
        raise ValueError(f"{name} cannot be read as an image: {error}") from error


def decode_pillow(image, from_pillow, upright=True):
    """Returns a `PIL.Image.Image` as a `Decoded`."""
    from PIL import ImageOps

    orientation = image.getexif().get(ORIENTATION, 1)
    format = image.format
    # Loading a TIFF file applies the orientation and removes it.
    image.load()
    # Without an orientation, `exif_transpose` would copy the image.
    turn = upright and image.getexif().get(ORIENTATION, 1) != 1
    turned = ImageOps.exif_transpose(image) if turn else image
    pixels = _file_dtype(image, from_pillow(turned))
    loading_turned = orientation != image.getexif().get(ORIENTATION, 1)
    return Decoded(check_shape(pixels), orientation, format, turn or loading_turned)


@contextlib.contextmanager
def _opened(source):
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        # Opening a pipe would wait for a writer.
        if path.exists() and not path.is_file():
            raise ValueError("it is not a regular file")
        with open(path, "rb") as file:
            yield file
    elif hasattr(source, "read"):
        if source.seekable():
            source.seek(0)
            yield source
        else:
            yield io.BytesIO(source.read())
    else:
        yield io.BytesIO(source)


def _decode(file, from_pillow, formats, most_pixels, upright):
    from PIL import Image, UnidentifiedImageError

    Image.init()
    # Older Pillow versions lack some formats, and a build may omit some.
    formats = tuple(format for format in formats if format in Image.OPEN)

    head = file.read(12)
    file.seek(0)
    if head.startswith(NPY_MAGIC):
        height, width, bands = _npy_sizes(file)
        _check_pixels((width, height), most_pixels, bands)
        file.seek(0)
        return Decoded(check_shape(np.load(file, allow_pickle=False)), 1, "NPY", False)
    if head.startswith(b"\xff\xd8"):
        _check_scans(file.read())
        file.seek(0)
    try:
        with Image.open(file, formats=formats) as image:
            _check_pixels(image.size, most_pixels)
            if has_colors_of_16_bits(image):
                return _decode_16_bits(image, file, upright)
            bands = len(image.getbands())
            if image.format != "TIFF" or (
                image.tag_v2.get(TIFF_SAMPLES, 1) <= bands
                and not _has_bands_in_pages(image)
                and not (image.mode in COLORS and max(image.tag_v2.get(TIFF_BITS, (8,))) > 8)
            ):
                return decode_pillow(image, from_pillow, upright)
    except UnidentifiedImageError:
        if not head.startswith(TIFF_MAGIC):
            video = VIDEO if VIDEO_HEAD.match(head) else ""
            raise ImageFormatError(
                f"it has none of the formats {', '.join(formats)} and NPY{video}"
            ) from None
    # Pillow cannot read TIFF files with several bands of floats, drops bands after the third, and
    # reduces 16-bit colors to 8 bits.
    file.seek(0)
    return _decode_tiff(file, most_pixels)


def _decode_16_bits(image, file, upright):
    pixels = read_colors_of_16_bits(image, file)
    orientation = image.getexif().get(ORIENTATION, 1)
    turned = upright and orientation != 1
    pixels = turn_upright(pixels, orientation) if turned else pixels
    return Decoded(check_shape(pixels), orientation, image.format, turned)


def _has_bands_in_pages(image):
    """Returns whether the writer marked pages as bands, not as a document or video."""
    description = str(image.tag_v2.get(TIFF_DESCRIPTION, ""))
    noted = any(note in description for note in NOTES_OF_BANDS)
    return noted and getattr(image, "n_frames", 1) > 1


def _decode_tiff(file, most_pixels):
    try:
        import tifffile
    except ImportError:
        raise ImageFormatError(
            "Pillow does not read all bands of this TIFF file; tifffile does: "
            "pip install 'keras-segattn[data]'"
        ) from None
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages[0]
            size, bands = (page.imagewidth, page.imagelength), page.samplesperpixel
            array, axes = page, page.axes
            if len(tiff.pages) > 1 and tiff.series[0].axes in PAGES_OF_BANDS:
                array, axes = tiff.series[0], "SYX"
                bands = len(tiff.pages)
            _check_pixels(size, most_pixels, bands)
            array = array.asarray()
            tag = page.tags.get(ORIENTATION)
    except ImageSizeError:
        raise
    except Exception as error:
        # tifffile's decoders fail in many ways, always because of the file.
        raise ValueError(str(error) or type(error).__name__) from error
    if axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    elif axes not in ("YX", "YXS"):
        raise ValueError(f"its first page has the axes {axes}; an image has YX, YXS or SYX")
    orientation = 1 if tag is None else int(tag.value)
    upright = turn_upright(check_shape(array), orientation)
    return Decoded(upright, orientation, "TIFF", orientation != 1)


def check_shape(image):
    """Returns an array, or raises a ValueError if its shape is not an image's."""
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            "An image has shape (height, width) or (height, width, channels), and no side is 0. "
            f"Received shape {image.shape}"
        )
    return image


def turn_upright(array, orientation):
    """Returns an array `(height, width, ...)` turned from an EXIF orientation to upright."""
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _file_dtype(image, pixels):
    """Undoes Pillow's integer conversions, to restore the values in the file."""
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        # Older Pillow versions read 16 bits as int32.
        return pixels.astype("uint16")
    if image.format != "TIFF" or image.mode not in ("L", "I"):
        return pixels
    tags = image.tag_v2
    dtype = TIFF_INTEGERS.get((tags.get(TIFF_SAMPLE_FORMAT, (1,))[0], tags.get(TIFF_BITS, (1,))[0]))
    if dtype is None:
        return pixels
    same_size = np.dtype(dtype).itemsize == pixels.itemsize
    return pixels.view(dtype) if same_size else pixels.astype(dtype)


def _npy_sizes(file):
    """Returns height, width and number of bands from the header of an `.npy` file.

    `np.load` allocates the memory declared in the header before it reads the values.
    """
    versions = {(1, 0): np.lib.format.read_array_header_1_0}
    versions[2, 0] = np.lib.format.read_array_header_2_0
    version = np.lib.format.read_magic(file)
    if version not in versions:
        raise ValueError(f"version {version} of the NPY format holds no images")
    shape, _, _ = versions[version](file)
    if len(shape) not in (2, 3):
        raise ValueError(f"an image has 2 or 3 dimensions. Received shape {shape}")
    return (*shape, 1)[:3]


def _check_pixels(size, most, bands=1):
    """Raises an ImageSizeError for too many pixels; every four bands count as an image."""
    from PIL import Image

    # The limit above which Pillow itself raises.
    most = 2 * Image.MAX_IMAGE_PIXELS if most is None and Image.MAX_IMAGE_PIXELS else most
    if most is not None and size[0] * size[1] * -(-bands // 4) > most:
        of_bands = f" of {bands} bands" if bands > 4 else ""
        raise ImageSizeError(
            f"{size[0]}x{size[1]} pixels (width x height){of_bands} are more than {most}; reduce it"
        )


def _check_scans(data):
    """Raises an ImageSizeError for a JPEG file with too many scans, found as in libjpeg."""
    # This cheap count is enough for most files.
    if data.count(bytes([0xFF, START_OF_SCAN])) <= MOST_SCANS:
        return
    scans, at = 0, 2
    while (found := MARKER.search(data, at)) is not None and scans <= MOST_SCANS:
        at, marker = found.end(), data[found.end() - 1]
        if marker == END_OF_IMAGE:
            break
        scans += marker == START_OF_SCAN
        at += int.from_bytes(data[at : at + 2], "big")
    if scans > MOST_SCANS:
        raise ImageSizeError(
            f"it has more than {MOST_SCANS} scans, which would take long to decode; save it again "
            "with an ordinary encoder"
        )
