"""albumentations as the augmentation: void, tasks, seeds, weights."""

import pickle

import keras
import numpy as np
import pytest

from keras_segattn.data import Albumentations, Compose, RandomScaleCropFlip, RoadScenes
from tests.data.bands import Bands
from tests.once import ONCE_ON, REASON

if keras.backend.backend() != ONCE_ON:
    # albumentations imports torch, which takes longer than these tests.
    pytest.skip(REASON, allow_module_level=True)
A = pytest.importorskip("albumentations")

# Transforms that bring in pixels from outside the image.
FILLING = {
    "rotate": A.Rotate((45, 45), p=1),
    "affine": A.Affine(rotate=(30, 30), scale=(0.5, 0.5), p=1),
    "perspective": A.Perspective((0.1, 0.1), fit_output=True, p=1),
    "pad": A.PadIfNeeded(60, 60, border_mode=0, p=1),
    "crop and pad": A.CropAndPad(px=(5, 5, 5, 5), keep_size=False, p=1),
    "nested": A.OneOf([A.Sequential([A.Rotate((45, 45), p=1)], p=1)], p=1),
}


def scene(rng, bands=3, classes=None):
    shape = (32, 40) if classes is None else (32, 40, classes)
    image = rng.integers(1, 256, (32, 40, bands), dtype="uint8")
    return image, rng.integers(0, 2, shape, dtype="uint8")


@pytest.mark.parametrize("classes", [None, 2, 6])
@pytest.mark.parametrize("name", FILLING)
def test_what_comes_from_outside_is_void(name, classes, rng):
    image, mask = scene(rng, classes=classes)
    augmentation = Albumentations(A.Compose([FILLING[name]]))
    image, mask = augmentation(np.full_like(image, 200), mask, np.random.default_rng(0))
    assert image.shape[:2] == mask.shape[:2]
    outside = (image == 0).all(axis=-1)
    assert outside.any()
    assert (mask[outside] == 255).all()
    inside = (image == 200).all(axis=-1)
    assert np.isin(mask[inside], [0, 1]).mean() > 0.97
    assert set(np.unique(mask)) == {0, 1, 255}


def test_masks_stay_where_a_transform_leaves_them(rng):
    image, mask = scene(rng)
    hole = A.CoarseDropout((3, 3), (8, 8), (8, 8), fill=0, p=1)
    color = [hole, A.GaussianBlur(p=1), A.GaussNoise(p=1)]
    changed, same = Albumentations(A.Compose(color))(image, mask, np.random.default_rng(0))
    assert not np.array_equal(changed, image)
    np.testing.assert_array_equal(same, mask)


@pytest.mark.parametrize("feed", ["to_tf_dataset", "to_py_dataset"])
def test_samples_depend_on_the_seed_and_the_epoch(feed):
    data = RoadScenes("train", 8, size=(32, 48))
    compose = A.Compose([A.RandomCrop(16, 24), A.HorizontalFlip(), A.Affine(rotate=(-20, 20), p=1)])

    def batches(**arguments):
        dataset = getattr(data, feed)(4, training=True, augmentation=compose, **arguments)
        if feed == "to_tf_dataset":
            return [np.asarray(part) for batch in dataset for part in batch]
        return [part for number in range(2) for part in dataset[number]]

    first = batches()
    assert first[0].shape == (4, 16, 24, 3)
    assert all(map(np.array_equal, first, batches()))
    assert not np.array_equal(first[0], batches(seed=1)[0])
    assert not np.array_equal(first[0], batches(first_epoch=1)[0])
    if feed == "to_py_dataset":
        dataset = data.to_py_dataset(4, training=True, augmentation=compose, workers=4)
        dataset = pickle.loads(pickle.dumps(dataset))
        again = [part for number in range(2) for part in dataset[number]]
        assert all(map(np.array_equal, first, again))


def test_the_user_s_compose_stays_as_it_is(rng):
    compose = A.Compose([A.Rotate(p=1)])
    Albumentations(compose)(*scene(rng), np.random.default_rng(0))
    assert compose.transforms[0].fill_mask == 0


@pytest.mark.parametrize("bands", [1, 4, 7])
def test_bands_and_the_composition_with_ours(bands, rng):
    data = Bands(bands)
    augmentation = Compose([RandomScaleCropFlip((24, 24)), A.Compose([A.VerticalFlip(p=1)])])
    ours = RandomScaleCropFlip((24, 24))(*data.read(0), np.random.default_rng(3))
    flipped = augmentation(*data.read(0), np.random.default_rng(3))
    for one, other in zip(ours, flipped, strict=True):
        np.testing.assert_array_equal(one[::-1], other)


def test_images_must_stay_uint8():
    dataset = Bands(3).to_py_dataset(1, augmentation=A.Compose([A.ToFloat()]))
    with pytest.raises(ValueError, match=r"augmentation must return a uint8 image .* of float32"):
        dataset[0]


def test_weights_follow_the_image(rng):
    image, mask = scene(rng)
    weights = mask.astype("float32") / 2
    augmentation = Albumentations(A.Compose([A.Rotate((30, 30), p=1), A.HorizontalFlip()]))
    _, mask, weights = augmentation(image, mask, np.random.default_rng(0), weights)
    np.testing.assert_array_equal(weights, np.where(mask == 255, 0, mask / 2))
    assert weights.dtype == "float32"
