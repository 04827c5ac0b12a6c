"""Opening image files, with errors that name the file."""

import struct

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def open_image(source, read):
    """Opens an image and returns what `read` makes of it.

    Args:
        source: Path of a file, or a binary file object.
        read: Callable that takes the opened `PIL.Image.Image`.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If Pillow is not installed.
        ValueError: If the content is no whole image, or `read` raises this itself. Names the file.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Images are read with Pillow: pip install 'keras-segattn[data]'"
        ) from error
    faults = (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        Image.DecompressionBombError,
    )
    try:
        with Image.open(source) as image:
            return read(image)
    except FileNotFoundError:
        raise
    except faults as error:
        name = "The data" if hasattr(source, "read") else source
        raise ValueError(f"{name} cannot be read as an image: {error}") from error
