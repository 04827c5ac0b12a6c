import io
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from keras import ops
from PIL import Image

from keras_segattn.images import (
    ImageFormatError,
    ImageSizeError,
    find_images,
    read_image,
    to_pixels,
    to_uint8,
)
from keras_segattn.images.decoding import MOST_SCANS
from tests.images.files import UPRIGHT, all_kinds, encoded, npy, png_of_16_bits


@pytest.mark.parametrize("kind", ["rgb", "gray_16_bits", "exif_6", "tiff_int32"])
def test_every_way_to_pass_a_file(kind, tmp_path):
    suffix, content, _ = all_kinds()[kind]
    path = tmp_path / f"image{suffix}"
    path.write_bytes(content)
    expected = read_image(path)
    for way in (str(path), content, bytearray(content), io.BytesIO(content), Image.open(path)):
        read = read_image(way)
        np.testing.assert_array_equal(read, expected)
        assert read.dtype == expected.dtype


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint32", "uint16", "float32"])
def test_tiff_files_keep_their_values(dtype):
    """A file and its array are refused alike, also beyond the channels of a network."""
    values = np.array([[0, 1], [100, 200 if dtype == "uint8" else 30000]], dtype)
    if dtype == "uint32":
        values[0, 0] = 2**32 - 5
    if dtype in ("int16", "int32"):
        values[0, 0] = -3
    # Pillow writes no int16 and no uint32: the tags are changed afterwards.
    written = values.view({"int16": "uint16", "uint32": "int32"}.get(dtype, dtype))
    content = encoded(written, "TIFF")
    if written.dtype != dtype:
        content = with_sample_format(content, 2 if dtype == "int16" else 1)
    read = read_image(content)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == dtype
    if dtype not in ("uint8", "uint16"):
        messages = []
        for image in (read, values):
            with pytest.raises(ValueError, match=f"A {dtype} image must have values") as error:
                to_pixels(image, 3)
            messages.append(str(error.value))
        assert messages[0] == messages[1]


def with_sample_format(content, value):
    """Sets tag 339 of a little-endian TIFF file, in place of a tag that is not needed."""
    content = bytearray(content)
    start = int.from_bytes(content[4:8], "little")
    for place in range(start + 2, start + 2 + 12 * content[start], 12):
        tag = int.from_bytes(content[place : place + 2], "little")
        if tag in (284, 339):
            content[place : place + 12] = np.array([339, 3, 1, 0, value, 0], "<u2").tobytes()
    return bytes(content)


def test_bands_stay_bands():
    rgba = np.random.default_rng(0).integers(0, 256, (5, 6, 4), dtype="uint8")
    for content in (encoded(rgba), encoded(rgba, "TIFF"), npy(rgba)):
        np.testing.assert_array_equal(to_pixels(read_image(content), 4), rgba)
    with pytest.raises(ValueError, match=r"takes images \(height, width, 4\).* with 3 channels"):
        to_pixels(read_image(encoded(rgba[..., :3])), 4)
    bands = np.random.default_rng(0).random((5, 6, 12))
    np.testing.assert_allclose(to_pixels(read_image(npy(bands)), 12), 255 * bands, rtol=1e-5)


def test_a_band_that_is_dropped_is_told(recwarn):
    rgba = np.zeros((5, 6, 4), "uint8")
    with pytest.warns(UserWarning, match="last of 4 bands .* treated as alpha and dropped"):
        to_pixels(rgba, 3)
    with pytest.warns(UserWarning, match="last of 2 bands"):
        to_pixels(rgba[..., :2], 1)
    recwarn.clear()
    rgba[..., 3] = 255
    assert to_pixels(rgba, 3).shape == (5, 6, 3)
    assert to_pixels((rgba / 255).astype("float32"), 3).shape == (5, 6, 3)
    assert not recwarn


def test_tiff_files_of_many_bands_or_float_colors():
    tifffile = pytest.importorskip("tifffile")
    rng = np.random.default_rng(0)

    def written(array, **arguments):
        file = io.BytesIO()
        tifffile.imwrite(file, array, **arguments)
        return file.getvalue()

    bands = rng.integers(0, 256, (12, 20, 24), dtype="uint8")
    separate = read_image(written(bands, photometric="minisblack", planarconfig="separate"))
    np.testing.assert_array_equal(separate, np.moveaxis(bands, 0, -1))
    together = np.moveaxis(bands, 0, -1)
    content = written(together, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read_image(content), together)
    colors = rng.random((20, 24, 3), dtype="float32")
    content = written(colors, photometric="rgb")
    np.testing.assert_array_equal(read_image(content), colors)
    with pytest.raises(ImageSizeError, match="24x20 pixels"):
        read_image(content, most_pixels=400)
    # The fourth band is neither alpha nor to be lost.
    unspecified = written(together[..., :4], photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read_image(unspecified), together[..., :4])
    turned = written(colors, photometric="rgb", extratags=[(274, "H", 1, 6)])
    np.testing.assert_array_equal(read_image(turned), UPRIGHT[6](colors))
    with pytest.raises(ValueError, match="cannot be read as an image"):
        read_image(content[: len(content) // 2])


def test_bands_in_pages_are_told_from_pages():
    tifffile = pytest.importorskip("tifffile")
    bands = np.arange(5 * 20 * 24, dtype="uint16").reshape(5, 20, 24)
    for arguments in ({}, {"imagej": True, "metadata": {"axes": "CYX"}}):
        file = io.BytesIO()
        tifffile.imwrite(file, bands, photometric="minisblack", **arguments)
        np.testing.assert_array_equal(read_image(file.getvalue()), np.moveaxis(bands, 0, -1))
    with pytest.raises(ImageSizeError, match=r"24x20 pixels .* of 5 bands are more than 480"):
        read_image(file.getvalue(), most_pixels=20 * 24)
    file = io.BytesIO()
    tifffile.imwrite(file, bands, photometric="minisblack", metadata={"axes": "TYX"})
    np.testing.assert_array_equal(read_image(file.getvalue()), bands[0])
    pages = [Image.fromarray(band) for band in bands]
    content = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_image(content), bands[0])


def test_bands_that_only_tifffile_reads_are_told_without_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    content = with_sample_format(encoded(np.zeros((4, 4, 3), "uint8"), "TIFF"), 3)
    with pytest.raises(ImageFormatError, match=r"pip install 'keras-segattn\[data\]'"):
        read_image(content)


@pytest.mark.parametrize("suffix", ["jp2", "pcx", "qoi", "sgi", "tga", "pbm", "avif"])
def test_further_formats_are_read_from_files_only(suffix, tmp_path):
    image = Image.fromarray(np.full((32, 40), 255, "uint8"))
    image = image.convert("1") if suffix == "pbm" else image.convert("RGB")
    path = tmp_path / f"image.{suffix.upper()}"
    try:
        image.save(path)
    except (OSError, ValueError, KeyError):
        pytest.skip(f"this Pillow does not write {suffix}")
    assert find_images(tmp_path) == [path]
    assert read_image(path).shape[:2] == (32, 40)
    assert (read_image(path) > 250).all()
    if suffix != "pbm":
        with pytest.raises(ImageFormatError, match="has none of the formats"):
            read_image(path.read_bytes())


@pytest.mark.parametrize("format", ["EPS", "PDF", "PCX", "TGA", "ICO"])
def test_only_listed_formats_reach_a_decoder(format, monkeypatch):
    content = encoded(np.zeros((32, 32, 3), "uint8"), format)
    with pytest.raises(ImageFormatError, match="has none of the formats BMP, GIF, JPEG, PNG"):
        read_image(content)


@pytest.mark.parametrize(
    ("head", "is_video"),
    [
        (b"\0\0\0\x18ftypmp42", True),
        (b"\x1aE\xdf\xa3", True),
        (b"RIFF\0\1\2\3AVI LIST", True),
        (b"\0\0\0\x18ftypheic", False),
    ],
)
def test_videos_are_told_from_images(head, is_video):
    with pytest.raises(ImageFormatError, match="has none of the formats") as error:
        read_image(head + bytes(99))
    assert ("read its frames" in str(error.value)) == is_video


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "street.png"
    path.write_bytes(encoded(np.zeros((99, 99, 3), "uint8"))[:60])
    with pytest.raises(ValueError, match=r"street\.png cannot be read as an image") as error:
        read_image(path)
    assert not isinstance(error.value, (ImageFormatError, ImageSizeError))
    path.write_bytes(npy(np.array([[{}]], dtype=object)))
    with pytest.raises(ValueError, match=r"street\.png cannot be read .*allow_pickle"):
        read_image(path)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "missing.png")


def test_too_many_pixels_are_refused_before_decoding():
    content = encoded(np.zeros((40, 50), "uint8"))
    assert read_image(content, most_pixels=2000).shape == (40, 50)
    with pytest.raises(ImageSizeError, match=r"50x40 pixels \(width x height\) are more than 1999"):
        read_image(content, most_pixels=1999)


def test_jpeg_files_of_many_scans_are_refused():
    content = encoded(np.zeros((64, 64, 3), "uint8"), "JPEG", progressive=True)
    assert read_image(content).shape == (64, 64, 3)
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    scans = content.count(b"\xff\xda")
    most = content[:-2] + (MOST_SCANS - scans) * scan + b"\xff\xd9"
    assert read_image(most).shape == (64, 64, 3)
    with pytest.raises(ImageSizeError, match="more than 100 scans"):
        read_image(content[:-2] + (MOST_SCANS - scans + 1) * scan + b"\xff\xd9")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_pipe_named_like_an_image_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "street.png")
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"street\.png .* not a regular file"):
        read_image(tmp_path / "street.png")
    assert time.monotonic() - start < 10


def test_what_is_no_image():
    with pytest.raises(TypeError, match="Received: list"):
        read_image([[0, 1]])
    with pytest.raises(ValueError, match="no bytes"):
        read_image(b"")
    with pytest.raises(ValueError, match=r"Received shape \(0, 4, 3\)"):
        read_image(np.zeros((0, 4, 3)))
    with pytest.raises(ValueError, match=r"The data cannot be read .*Received shape \(0, 4, 3\)"):
        read_image(npy(np.zeros((0, 4, 3))))
    with pytest.raises(ValueError, match=r"Received shape \(4, 0, 3\)"):
        read_image(Image.new("RGB", (0, 4)))


def test_tensors_and_what_numpy_takes():
    image = np.arange(24, dtype="uint8").reshape(2, 4, 3)
    np.testing.assert_array_equal(read_image(ops.convert_to_tensor(image)), image)
    assert read_image(image) is image


def test_eight_bits_are_rounded():
    assert to_uint8(np.full((1, 1), 386, "uint16"), 3)[0, 0].tolist() == [2, 2, 2]
    assert to_uint8(np.full((1, 1), 0.999), 1)[0, 0].tolist() == [255]
    image = np.zeros((2, 2, 3), "uint8")
    assert to_uint8(image, 3) is image


def test_reading_imports_no_backend():
    code = (
        "import importlib.util, sys, types, pathlib\n"
        "root = types.ModuleType('keras_segattn')\n"
        "root.__path__ = [str(pathlib.Path('keras_segattn').resolve())]\n"
        "sys.modules['keras_segattn'] = root\n"
        "import keras_segattn.images as images, numpy as np\n"
        "images.to_uint8(images.read_image(np.zeros((4, 4))), 3)\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch', 'PIL'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_finding(tmp_path):
    inside = ["b.PNG", "a/two.tif", "a/array.npy", "linked/one.jpg"]
    outside = ["._b.png", ".ipynb_checkpoints/b.png", "notes.txt", "masks/b.png.png"]
    for name in (*inside[:-1], *outside, "../elsewhere/one.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    # A link that leads back is followed no further.
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "folder.png").mkdir()
    found = find_images(tmp_path / "photos", exclude=tmp_path / "photos" / "masks")
    assert found == sorted(tmp_path / "photos" / name for name in inside)
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        find_images(tmp_path / "none")


def test_bands_count_before_they_are_decoded():
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile")
    file = io.BytesIO()
    tifffile.imwrite(
        file, np.zeros((20, 24, 12), "uint8"), photometric="minisblack", planarconfig="contig"
    )
    assert read_image(file.getvalue(), most_pixels=3 * 480).shape == (20, 24, 12)
    with pytest.raises(ImageSizeError, match=r"24x20 pixels .* of 12 bands are more than 1439"):
        read_image(file.getvalue(), most_pixels=3 * 480 - 1)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10**6, 10**6, 3), "1000000x1000000 pixels"),
        ((10**30, 2), "2x1000000000000000000000000000000 pixels"),
        ((10**12,), "2 or 3 dimensions"),
        ((40, 50), "cannot be read as an image"),
    ],
    ids=str,
)
def test_the_header_of_an_npy_file_is_not_believed(shape, message):
    file = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ValueError, match=message):
        read_image(file.getvalue())


@pytest.mark.parametrize("options", [{}, {"planarconfig": "separate"}, {"byteorder": ">"}], ids=str)
@pytest.mark.parametrize("bands", [3, 4])
def test_colors_of_16_bits_stay_so_in_tiff_files(options, bands, rng):
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile")
    pixels = rng.integers(0, 4096, (20, 24, bands)).astype("uint16")
    planar = options.get("planarconfig") == "separate"
    file = io.BytesIO()
    tifffile.imwrite(
        file, np.moveaxis(pixels, -1, 0) if planar else pixels, photometric="rgb", **options
    )
    found = read_image(file.getvalue())
    assert found.dtype == "uint16"
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bands", [2, 3, 4])
def test_colors_of_16_bits_stay_so_in_png_files(bands, interlaced, rng, tmp_path):
    pixels = rng.integers(0, 4096, (21, 26, bands)).astype("uint16")
    content = png_of_16_bits(pixels, interlaced)
    (tmp_path / "scan.png").write_bytes(content)
    for source in (content, tmp_path / "scan.png", io.BytesIO(content)):
        found = read_image(source)
        assert found.dtype == "uint16"
        np.testing.assert_array_equal(found, pixels)
    turned = png_of_16_bits(pixels, interlaced, late_orientation=6)
    np.testing.assert_array_equal(read_image(turned), UPRIGHT[6](pixels))
    with pytest.raises(ImageSizeError, match="26x21 pixels"):
        read_image(content, most_pixels=545)
    for end in (60, len(content) // 2):
        with pytest.raises(ValueError, match="cannot be read as an image"):
            read_image(content[:end])


@pytest.mark.parametrize("highest", [65535, 4095])
def test_colors_of_16_bits_stay_so_in_ppm_files(highest, rng):
    pixels = rng.integers(0, highest + 1, (4, 5, 3))
    content = b"P6\n5 4\n%d\n" % highest + pixels.astype(">u2").tobytes()
    found = read_image(content)
    assert found.dtype == "uint16"
    np.testing.assert_array_equal(found, np.rint(pixels * (65535 / highest)))
    with pytest.raises(ValueError, match="the file is cut off"):
        read_image(content[:-1])
    text = b"P3\n1 1\n65535\n1 2 3\n"
    with pytest.raises(ValueError, match="16-bit colors as text"):
        read_image(text)
