"""The supported image formats and their file suffixes."""

# Pillow supports some fifty formats, including EPS, which it passes to Ghostscript. Files may come
# from anywhere, so only these formats reach a decoder.
FORMATS = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "PPM": (".pgm", ".ppm", ".pnm", ".pbm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
# These formats are read only from files on disk, chosen by the user, not from request bytes.
FILE_FORMATS = {
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "PCX": (".pcx",),
    "QOI": (".qoi",),
    "SGI": (".sgi",),
    "TGA": (".tga",),
}
IMAGE_SUFFIXES = (
    *(suffix for suffixes in (FORMATS | FILE_FORMATS).values() for suffix in suffixes),
    ".npy",
)
"""Tuple of the suffixes of image files, in lower case."""


class ImageFormatError(ValueError):
    """Raised for content that is not an image in a known format."""


class ImageSizeError(ValueError):
    """Raised for an image with too many pixels or JPEG scans."""
