"""Files that were once misread, from the reference material."""

import numpy as np
import pytest

from keras_segattn.data import SegmentationFolder
from keras_segattn.images import read_image, to_pixels
from tests.images.files import UPRIGHT

NAMES = ["ground", "square"]


@pytest.fixture
def sample(shared, tmp_path):
    def open_sample(image, mask, **arguments):
        cases = shared("cases")
        (tmp_path / "list.txt").write_text(f"{image} {mask}")
        arguments = {"class_names": NAMES, "list_file": tmp_path / "list.txt", **arguments}
        return SegmentationFolder(cases, cases, **arguments)

    return open_sample


@pytest.mark.parametrize("name", ["gray_16bit.png", "gray_float32.tif", "photo_cmyk.jpg"])
def test_training_reads_what_segment_reads(name, sample, shared):
    image, _ = sample(name, "mask_1bit.png").read(0)
    read = to_pixels(read_image(shared("cases", name)), 3)
    np.testing.assert_allclose(image, read, atol=0.5)
    if name.startswith("gray"):
        assert image.mean() == pytest.approx(127.5, abs=1)
        assert len(np.unique(image)) >= 64


@pytest.mark.parametrize(
    ("orientation", "mask"),
    [
        (3, "mask_raw_orientation.png"),
        (6, "mask_raw_orientation.png"),
        (6, "mask_exif_6_upright.png"),
        (8, "mask_raw_orientation.png"),
    ],
)
def test_image_and_mask_are_upright(orientation, mask, sample, shared):
    pixels, labels = sample(f"exif_{orientation}.jpg", mask).read(0)
    np.testing.assert_array_equal(pixels, read_image(shared("cases", f"exif_{orientation}.jpg")))
    stored = read_image(shared("cases", "mask_raw_orientation.png"))
    np.testing.assert_array_equal(labels, UPRIGHT[orientation](stored))
    # The white square is at the top left of the file.
    rows, columns = np.nonzero(pixels.min(axis=-1) > 220)
    height, width = labels.shape
    assert (rows.mean() > height / 2) == (orientation in (3, 8))
    assert (columns.mean() > width / 2) == (orientation in (3, 6))


@pytest.mark.parametrize("names", [NAMES, ["square"]])
def test_the_foreground_of_255_is_told(names, sample):
    with pytest.raises(ValueError, match=r"label_map=\{255: 1\}"):
        sample("photo.png", "mask_0_255.png", class_names=names)
    data = sample("photo.png", "mask_0_255.png", label_map={255: 1})
    assert set(np.unique(data.read(0)[1])) == {0, 1}
    assert data.verify() == []


def test_labels_in_a_lossy_file_are_refused(sample):
    (fault,) = sample("photo.png", "mask_labels_0_1.jpg").verify()
    assert "mask_labels_0_1.jpg is a JPEG file, whose compression changes labels" in fault


def test_a_fourth_band_reaches_the_network_or_is_told(sample):
    image, _ = sample("rgba_fourth_band_is_data.tif", "mask_1bit.png", channels=4).read(0)
    assert (image[..., 3] == 200).all()
    with pytest.warns(UserWarning, match="last of 4 bands of an image is treated as alpha"):
        sample("rgba_fourth_band_is_data.tif", "mask_1bit.png").read(0)


def test_one_bit_masks(sample):
    labels = sample("photo.png", "mask_1bit.png").read(0)[1]
    assert set(np.unique(labels)) == {0, 1}
