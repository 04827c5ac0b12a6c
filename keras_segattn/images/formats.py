"""Image formats that are read, and the files that have them."""

# Pillow knows some fifty formats, among them EPS, which it hands to Ghostscript. Files may come
# from anywhere, so only these reach a decoder.
FORMATS = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "PPM": (".pgm", ".ppm", ".pnm", ".pbm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
# Of these only files on the disk are read, which a user has chosen, and no bytes of a request.
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
"""Tuple of the suffixes that image files may have, in lower case."""


class ImageFormatError(ValueError):
    """Raised for content that is not an image of a known format."""


class ImageSizeError(ValueError):
    """Raised for an image with more pixels, or more JPEG scans, than are decoded."""
