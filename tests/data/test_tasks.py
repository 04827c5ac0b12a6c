"""Data sets of several labels per pixel, from files to batches."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_segattn.data import RandomScaleCropFlip, SegmentationFolder

CLASSES = ["leaf", "stem", "root tip"]
ARGUMENTS = {"class_names": CLASSES, "task": "multilabel"}
# Overlapping labels, and void in one of the classes.
MASK = np.zeros((8, 10, 3), "uint8")
MASK[2:6, 2:8, 0] = MASK[4:8, 1:5, 1] = 1
MASK[0, 0, 2] = 255


@pytest.fixture
def folder(tmp_path, rng):
    for name in ("a", "b"):
        (tmp_path / "images").mkdir(exist_ok=True)
        image = rng.integers(0, 256, (8, 10, 3), dtype="uint8")
        Image.fromarray(image).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "masks").mkdir()
    return tmp_path


def write_classes(folder, names=("a", "b"), scale=1):
    for name in names:
        for index, label in enumerate(CLASSES[:2]):
            plane = Image.fromarray(MASK[..., index] * scale)
            plane.save(folder / "masks" / f"{name}_{label}.png")


def open_folder(folder, **arguments):
    return SegmentationFolder(folder / "images", folder / "masks", **ARGUMENTS, **arguments)


@pytest.mark.once
@pytest.mark.parametrize("suffix", [".tif", ".npy", ".png"])
def test_masks_of_several_bands(folder, suffix):
    for name in ("a", "b"):
        path = folder / "masks" / f"{name}{suffix}"
        if suffix == ".npy":
            np.save(path, MASK)
        else:
            Image.fromarray(MASK).save(path)
    data = open_folder(folder)
    np.testing.assert_array_equal(data.read(1)[1], MASK)
    with pytest.warns(UserWarning, match="No mask of .* contains: root tip"):
        assert data.verify() == []
    known = 80, 80, 79
    np.testing.assert_allclose(data.class_frequencies(), (MASK == 1).sum((0, 1)) / known)
    with pytest.warns(UserWarning, match=r"No mask of .* contains: root tip"):
        assert data.class_weights("median_frequency")[2] == 0
    two = SegmentationFolder(
        folder / "images", folder / "masks", class_names=CLASSES[:2], task="multilabel"
    )
    assert "integers of shape (height, width, 2)" in two.verify()[0]


@pytest.mark.once
def test_a_file_for_each_class(folder):
    write_classes(folder, scale=255)
    arguments = {"mask_pattern": "{name}_{class}.png"}
    with pytest.raises(ValueError, match=r"pass label_map=\{255: 1\}"):
        open_folder(folder, **arguments)
    data = open_folder(folder, **arguments, label_map={255: 1})
    expected = np.where(MASK == 255, 0, MASK)
    np.testing.assert_array_equal(data.read(0)[1], expected)
    # A class without a file is nowhere.
    assert data.files(0)[1:] == (*(folder / "masks" / f"a_{c}.png" for c in CLASSES[:2]), None)
    assert data[1:].has_masks
    Image.fromarray(MASK[:4, :, 0] * 255).save(folder / "masks" / "a_leaf.png")
    assert "a_leaf.png has (4, 10), and" in data.verify()[0]
    bare = SegmentationFolder(folder / "images", **ARGUMENTS)
    assert bare.read(0)[1].shape == (8, 10, 3)
    assert (bare.read(0)[1] == 255).all()


@pytest.mark.once
def test_images_and_masks_of_classes_are_turned_upright(folder):
    write_classes(folder)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = folder / "images" / "a.png"
    Image.open(path).save(folder / "images" / "a.png", exif=exif)
    _, mask = open_folder(folder, mask_pattern="{name}_{class}.*").read(0)
    np.testing.assert_array_equal(mask[..., :2], np.rot90(MASK, -1)[..., :2])


@pytest.mark.parametrize("feed", ["to_tf_dataset", "to_py_dataset"])
def test_batches_of_several_labels(folder, feed):
    if feed == "to_tf_dataset":
        pytest.importorskip("tensorflow")
    write_classes(folder)
    data = open_folder(folder, mask_pattern="{name}_{class}.*")
    augmentation = RandomScaleCropFlip((16, 12), rare_class_crops=1.0)
    batches = getattr(data, feed)(2, training=True, augmentation=augmentation)
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(3, 1, activation="sigmoid")(image))
    model.compile("sgd", lambda mask, y: keras.ops.mean(keras.ops.cast(mask, y.dtype) * y))
    history = model.fit(batches, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.once
def test_each_label_is_scaled_and_cropped_as_if_alone():
    image = np.zeros((8, 10, 3), "uint8")
    for seed in range(5):
        augment = RandomScaleCropFlip((9, 7))
        _, planes = augment(image, MASK, np.random.default_rng(seed))
        assert planes.shape == (9, 7, 3)
        for index in range(3):
            plane = augment(image, MASK[..., index], np.random.default_rng(seed))[1]
            np.testing.assert_array_equal(planes[..., index], plane)


@pytest.mark.once
def test_rare_labels_are_shown_as_often():
    mask = np.zeros((40, 40, 2), "uint8")
    mask[..., 0], mask[7, 33, 1] = 1, 1
    augment = RandomScaleCropFlip((5, 5), (1.0, 1.0), rare_class_crops=1.0)
    crops = [
        augment(np.zeros((40, 40, 3), "uint8"), mask, np.random.default_rng(i))[1]
        for i in range(100)
    ]
    assert np.mean([(crop[..., 1] == 1).any() for crop in crops]) == pytest.approx(0.5, abs=0.15)


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "binary", "class_names": ["a", "b", "c"]}, "background and one class"),
        ({"task": "semantic", "class_names": ["a"]}, "`task` must be one of"),
        ({"task": "multilabel", "class_names": ["a"], "color_masks": True}, "one class"),
        ({"task": "multilabel", "class_names": ["a"], "label_map": {1: 2}}, "labels of 2 classes"),
    ],
)
def test_impossible_tasks_are_refused(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        SegmentationFolder(folder / "images", **arguments)


@pytest.mark.once
def test_an_augmentation_must_keep_the_labels(folder):
    write_classes(folder)
    data = open_folder(folder, mask_pattern="{name}_{class}.*")
    batches = data.to_py_dataset(1, augmentation=lambda image, mask, rng: (image, mask[..., 0]))
    with pytest.raises(ValueError, match=r"a uint8 mask \(height, width, 3\) for the sample a"):
        batches[0]
