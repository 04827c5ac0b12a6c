"""16-bit colors in PNG and PPM files; Pillow keeps only the upper 8 bits."""

import numpy as np

# Pillow's names of the modes that a PNG file stores, and the names under which it unpacks the lower
# bytes. It has no such name for gray with alpha, whose four bytes are used unchanged.
LOWER_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "LA;16B": "RGBA"}


def has_colors_of_16_bits(image):
    """Returns whether Pillow would read a PNG or PPM file, opened but not loaded, with 8 bits."""
    if image.format == "PNG" and image.tile:
        return image.tile[0][3] in LOWER_BYTES
    scaled = image.format == "PPM" and image.mode == "RGB" and image.tile[0][0] != "raw"
    return scaled and image.tile[0][3][-1] > 255


def read_colors_of_16_bits(image, file):
    """Returns the pixels of a file as uint16 `(height, width, bands)`, as they are stored.

    Args:
        image: `PIL.Image.Image` for which `has_colors_of_16_bits` is true.
        file: The binary file that it was opened from.

    Raises:
        ValueError: If the file is damaged.
    """
    from PIL import Image

    if image.format == "PPM":
        return _read_ppm(image, file)
    stored = image.tile[0][3]
    upper = np.asarray(image).astype("uint16")
    file.seek(0)
    with Image.open(file, formats=("PNG",)) as again:
        # Pillow still does everything else: decompression, filters and checksums.
        again.tile = [(*tile[:3], LOWER_BYTES[stored]) for tile in again.tile]
        lower = np.asarray(again)
    if stored == "LA;16B":
        return lower[..., ::2].astype("uint16") << 8 | lower[..., 1::2]
    return upper << 8 | lower


def _read_ppm(image, file):
    codec, _, offset, (_, highest) = image.tile[0]
    if codec != "ppm":
        raise ValueError("it stores 16-bit colors as text; save it as a PNG or TIFF file")
    file.seek(offset)
    width, height = image.size
    data = file.read(6 * width * height)
    if len(data) < 6 * width * height:
        raise ValueError("the file is cut off")
    pixels = np.frombuffer(data, ">u2").reshape(height, width, 3)
    # As in Pillow for gray: the highest value of the file becomes the highest of the dtype.
    return np.rint(np.minimum(pixels / highest, 1) * 65535).astype("uint16")
