import numpy as np
import pytest
from PIL import Image

from keras_segattn.data import SegmentationFolder
from keras_segattn.images.masks import read_colors, read_labels
from tests.images.files import UPRIGHT, encoded, npy, png_of_16_bits, with_orientation

CLASSES = ["sky", "square"]
RGB = np.full((48, 64, 3), (0, 0, 80), "uint8")
RGB[4:20, 4:24] = 255
MASK = (RGB[..., 0] > 0).astype("uint8")


def dataset(folder, image, mask, suffix=".png", **arguments):
    (folder / "images").mkdir(exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    (folder / "images" / "photo.jpg").write_bytes(image)
    (folder / "masks" / f"photo{suffix}").write_bytes(mask)
    arguments = {"class_names": CLASSES, **arguments}
    return SegmentationFolder(folder / "images", folder / "masks", **arguments)


# A mask that was saved upright under the orientations 2 to 4 cannot be told from one as stored.
@pytest.mark.parametrize(
    ("orientation", "saved"),
    [
        (n, saved)
        for n in range(1, 9)
        for saved in ("as stored", "upright", "with EXIF")
        if saved != "upright" or n not in (2, 3, 4)
    ],
)
def test_image_and_mask_are_upright(orientation, saved, tmp_path):
    mask = UPRIGHT[orientation](MASK) if saved == "upright" else MASK
    arguments = {}
    if saved == "with EXIF":
        arguments["exif"] = Image.Exif()
        arguments["exif"][0x0112] = orientation
    photo = with_orientation(RGB, orientation)
    data = dataset(tmp_path, photo, encoded(np.ascontiguousarray(mask), **arguments))
    image, labels = data.read(0)
    np.testing.assert_array_equal(labels, UPRIGHT[orientation](MASK))
    # The image is white where the mask says so, wherever that is after turning.
    assert image[labels == 1].mean() > 240
    assert image[labels == 0].mean() < 60


@pytest.mark.parametrize("colors", [False, True])
@pytest.mark.parametrize("photo_turned", [False, True])
@pytest.mark.parametrize("columns", [48, 64])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_mask_is_turned_once(orientation, columns, photo_turned, colors, tmp_path):
    rgb, turn = np.ascontiguousarray(RGB[:, :columns]), UPRIGHT[orientation]
    photo = with_orientation(rgb, orientation) if photo_turned else encoded(turn(rgb), "JPEG")
    stored = rgb if colors else MASK[:, :columns]
    mask = encoded(np.ascontiguousarray(stored), "TIFF", tiffinfo={0x0112: orientation})
    arguments = {"color_masks": True, "palette": ["#000050", "#ffffff"]} if colors else {}
    data = dataset(tmp_path, photo, mask, ".tif", **arguments)
    np.testing.assert_array_equal(data.read(0)[1], turn(MASK[:, :columns]))


def test_a_turned_mask_of_the_stored_size_is_told(tmp_path):
    """It was upright, and its orientation was copied from the photo."""
    mask = encoded(np.ascontiguousarray(UPRIGHT[6](MASK)), "TIFF", tiffinfo={0x0112: 6})
    data = dataset(tmp_path, with_orientation(RGB, 6), mask, ".tif")
    with pytest.raises(ValueError, match=r"64x48 .*, but its mask .*\.tif has 48x64"):
        data.read(0)


def test_other_sizes_are_named(tmp_path):
    data = dataset(tmp_path, with_orientation(RGB, 6), encoded(MASK[:40]))
    with pytest.raises(ValueError, match=r"64x48 .*, 48x64 as stored, but its mask .* has 40x64"):
        data.read(0)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (encoded(Image.fromarray(MASK * 255).convert("1")), ".png"),
        (encoded(MASK.astype("uint16")), ".png"),
        (encoded(MASK.astype("int32"), "TIFF"), ".tif"),
        (encoded(MASK, "GIF"), ".gif"),
        (encoded(MASK, "BMP"), ".bmp"),
        (npy(MASK.astype("int64")), ".npy"),
        (npy(MASK > 0), ".npy"),
    ],
)
def test_masks_of_labels(content, suffix, tmp_path):
    data = dataset(tmp_path, encoded(RGB, "JPEG"), content, suffix)
    np.testing.assert_array_equal(data.read(0)[1], MASK)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encoded(MASK, "JPEG"), "mask.png is a JPEG file, whose compression changes labels"),
        (encoded(RGB), r"mask\.png .*mode 'RGB'; for a mask of colors pass `color_masks=True`"),
        (encoded(MASK.astype("uint16") * 300), r"mask\.png contains the label 300; labels must"),
        (npy(MASK.astype("int16") - 1), r"mask\.png contains the label -1"),
        (npy(MASK.astype("float32")), r"mask\.png .* Received float32 of shape \(48, 64\)"),
        (npy(MASK[:0]), r"mask\.png .* no side is 0. Received shape \(0, 64\)"),
        (npy(MASK[..., None]), r"mask\.png .* Received uint8 of shape \(48, 64, 1\)"),
    ],
)
def test_what_is_no_mask_of_labels(content, message, tmp_path):
    (tmp_path / "mask.png").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / "mask.png")


def test_colors(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(encoded(RGB))
    labels = {(0, 0, 80): 0, (255, 255, 255): 1}
    np.testing.assert_array_equal(read_colors(path, labels).pixels, MASK)
    path.write_bytes(encoded(Image.fromarray(RGB).quantize(2)))
    np.testing.assert_array_equal(read_colors(path, labels).pixels, MASK)
    path.write_bytes(encoded(RGB, "JPEG"))
    with pytest.raises(ValueError, match=r"mask\.png is a JPEG file"):
        read_colors(path, labels)
    path.write_bytes(npy(MASK))
    with pytest.raises(ValueError, match=r"colors are uint8 of shape \(height, width, 3\)"):
        read_colors(path, labels)


def test_masks_of_16_bits_in_several_bands(tmp_path):
    path = tmp_path / "mask.png"
    planes = np.stack([MASK, 1 - MASK, MASK], axis=-1)
    path.write_bytes(png_of_16_bits(planes.astype("uint16")))
    np.testing.assert_array_equal(read_labels(path, planes=3).pixels, planes)
    path.write_bytes(png_of_16_bits(RGB * np.uint16(257)))
    labels = {(0, 0, 80): 0, (255, 255, 255): 1}
    np.testing.assert_array_equal(read_colors(path, labels).pixels, MASK)
    path.write_bytes(png_of_16_bits(RGB * np.uint16(256)))
    with pytest.raises(ValueError, match="colors are uint8"):
        read_colors(path, labels)
