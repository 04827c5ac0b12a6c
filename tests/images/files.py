"""Image files of every kind, made by the tests, with the pixels that they hold."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIZE = (40, 48)


def encoded(image, format="PNG", **arguments):
    file = io.BytesIO()
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    image.save(file, format, **arguments)
    return file.getvalue()


def with_orientation(rgb, orientation):
    """The JPEG file that a camera writes that was held as the orientation says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(rgb, "JPEG", exif=exif, quality=95, subsampling=0)


def png_of_16_bits(pixels, interlaced=False, late_orientation=None):
    """A PNG file of gray and alpha, RGB or RGBA as its specification says; Pillow writes none."""
    height, width, bands = pixels.shape
    steps = [(0, 0, 1, 1)]
    if interlaced:
        steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
        steps += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    data = b""
    for y, x, dy, dx in steps:
        for row in pixels[y::dy, x::dx].astype(">u2"):
            here = np.frombuffer(row.tobytes(), "uint8")
            left = np.concatenate([np.zeros(2 * bands, "uint8"), here])[: here.size]
            # The filter "Sub": differences to the pixel on the left, byte by byte.
            data += b"\1" + (here - left).tobytes() if here.size else b""

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    kind = {2: 4, 3: 2, 4: 6}[bands]
    file = b"\x89PNG\r\n\x1a\n"
    file += chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, int(interlaced)))
    file += chunk(b"IDAT", zlib.compress(data))
    if late_orientation:
        exif = Image.Exif()
        exif[0x0112] = late_orientation
        file += chunk(b"eXIf", exif.tobytes()[6:])
    return file + chunk(b"IEND", b"")


# By EXIF orientation: from the stored image to the upright image.
UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: np.swapaxes(stored, 0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.swapaxes(np.rot90(stored, 2), 0, 1),
    8: np.rot90,
}


def all_kinds():
    """Returns a dict from names to tuples of a suffix, the bytes of a file, and its RGB pixels."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*SIZE, 3), dtype="uint8")
    gray = rng.integers(0, 256, SIZE, dtype="uint8")
    ramp = np.linspace(0, 65535, gray.size).reshape(SIZE).astype("uint16")
    bits = rng.integers(0, 2, SIZE, dtype="uint8") * 255
    few = Image.fromarray(rgb).quantize(16)
    opaque = np.full((*SIZE, 1), 255, "uint8")
    # Smooth, so that JPEG keeps it.
    smooth = np.kron(rng.integers(0, 256, (5, 6, 3), dtype="uint8"), np.ones((8, 8, 1), "uint8"))
    cmyk = Image.fromarray(smooth).convert("CMYK")

    def colored(values):
        return np.repeat(values[..., None].astype("float32"), 3, axis=-1)

    kinds = {
        "rgb": (".png", encoded(rgb), rgb),
        "gray": (".png", encoded(gray), colored(gray)),
        "gray_16_bits": (".png", encoded(ramp), colored(ramp / 257)),
        "one_bit": (".png", encoded(Image.fromarray(bits).convert("1")), colored(bits)),
        "palette": (".png", encoded(few), np.asarray(few.convert("RGB"))),
        "gray_and_alpha": (
            ".png",
            encoded(np.concatenate([gray[..., None], opaque], -1)),
            colored(gray),
        ),
        "alpha": (".png", encoded(np.concatenate([rgb, opaque], -1)), rgb),
        "bmp": (".bmp", encoded(rgb, "BMP"), rgb),
        "gif": (".gif", encoded(few, "GIF"), np.asarray(few.convert("RGB"))),
        "webp": (".webp", encoded(rgb, "WEBP", lossless=True), rgb),
        "ppm": (".ppm", encoded(rgb, "PPM"), rgb),
        "tiff": (".tif", encoded(rgb, "TIFF"), rgb),
        "tiff_uint16": (".tif", encoded(ramp, "TIFF"), colored(ramp / 257)),
        "tiff_int32": (".tif", encoded(gray.astype("int32"), "TIFF"), colored(gray)),
        "tiff_float32": (
            ".tiff",
            encoded((ramp / 65535).astype("float32"), "TIFF"),
            colored(ramp / 257),
        ),
        "cmyk": (".jpg", encoded(cmyk, "JPEG", quality=100, subsampling=0), smooth),
    }
    stored = np.asarray(Image.open(io.BytesIO(with_orientation(smooth, 1))))
    for orientation, turn in UPRIGHT.items():
        file = with_orientation(smooth, orientation)
        kinds[f"exif_{orientation}"] = (".jpg", file, turn(stored))
    return kinds


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
