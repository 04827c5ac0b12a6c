"""Weights of samples and of pixels, from data sets to losses."""

import keras
import numpy as np
import pytest

from keras_segattn.data import ColorJitter, Compose, RandomScaleCropFlip, SegmentationDataset
from keras_segattn.data.sampler import Sampler
from keras_segattn.losses import WeightedCrossEntropy
from keras_segattn.weights import Preprocessing
from tests.data.bands import Bands


def weighted(function=lambda name, mask: 1 + mask / 2, **attributes):
    data = Bands(3)
    data.pixel_weights = function
    for name, value in attributes.items():
        setattr(data, name, value)
    return data


@pytest.fixture(params=["to_tf_dataset", "to_py_dataset"])
def feed(request):
    if request.param == "to_tf_dataset":
        pytest.importorskip("tensorflow")
    return request.param


def batches(dataset):
    if hasattr(dataset, "num_batches"):
        return [dataset[number] for number in range(dataset.num_batches)]
    return [tuple(map(np.asarray, batch)) for batch in dataset]


@pytest.mark.parametrize("sample_weights", [None, [1, 2, 0, 4]])
def test_weights_of_pixels_go_with_their_pixels(feed, sample_weights):
    data = weighted(sample_weights=sample_weights)
    augmentation = Compose([ColorJitter(), RandomScaleCropFlip((40, 56), rare_class_crops=0.5)])
    for augment in (None, augmentation):
        ((_, masks, weights),) = batches(getattr(data, feed)(4, augmentation=augment))
        assert weights.dtype == "float32"
        expected = np.where(masks == 255, 0, 1 + masks / 2)
        factors = np.reshape(sample_weights or [1] * 4, (4, 1, 1))
        np.testing.assert_array_equal(weights, expected * factors)
    if augment is not None:
        assert (masks == 255).any()


def test_fit_weighs_the_pixels(feed):
    """A weight of 2 on one class of the pixels is the loss of that class added once more."""
    losses = {}
    for name, function in {
        "none": None,
        "dark": lambda name, mask: mask == 0,
        "bright": lambda name, mask: mask == 1,
    }.items():
        model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)])
        model.layers[0].set_weights([np.linspace(-1, 1, 6).reshape(1, 1, 3, 2), np.zeros(2)])
        model.compile("sgd", WeightedCrossEntropy())
        pipeline = getattr(weighted(function), feed)(
            4, preprocessing=Preprocessing([0.5] * 3, [0.5] * 3)
        )
        losses[name] = model.evaluate(pipeline, verbose=0)
    assert losses["none"] == pytest.approx(losses["dark"] + losses["bright"], rel=1e-5)
    assert losses["dark"] > 0.01


@pytest.mark.once
def test_parts_and_sums_keep_the_weights_of_pixels():
    one, two = weighted(), weighted(None)
    mask = one.read(3)[1]
    assert not two.has_pixel_weights
    for data, index in ((one[2:], 1), (one + two, 3), (two + one, 7)):
        assert data.has_pixel_weights
        np.testing.assert_array_equal(data.weigh(index, mask), 1 + mask / 2)
    assert (one + two).weigh(4, mask).tolist() == np.ones_like(mask).tolist()


@pytest.mark.once
def test_samples_that_fill_a_batch_have_no_weight():
    sampler = Sampler(weighted(), 3, False, None, seed=0, cache=False, fill=True)
    *_, weights = sampler.read(0, -1)
    assert weights.shape == (32, 48)
    assert not weights.any()


@pytest.mark.once
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda name, mask: mask[:5],
            r"of shape \(32, 48\), for .* noise_0\. .* \(5, 48\)",
        ),
        (lambda name, mask: mask - 1.0, "not negative, .* values from -1"),
        (lambda name, mask: mask * np.nan, "finite numbers"),
    ],
)
def test_impossible_weights_of_pixels_are_named(function, message):
    with pytest.raises(ValueError, match=message):
        weighted(function).to_py_dataset(1)[0]


@pytest.mark.once
def test_an_augmentation_must_take_the_weights():
    dataset = weighted().to_py_dataset(1, augmentation=lambda image, mask, rng: (image, mask))
    with pytest.raises(ValueError, match="add the attribute `takes_weights = True`"):
        dataset[0]


class Masks(SegmentationDataset):
    """Masks that are given, with images of zeros."""

    def __init__(self, masks, task, class_names):
        self.masks, self.task, self.class_names = masks, task, class_names

    def __len__(self):
        return len(self.masks)

    def name(self, index):
        return str(index)

    def read(self, index):
        mask = np.uint8(self.masks[index])
        return np.zeros((*mask.shape[:2], 3), "uint8"), mask


@pytest.mark.once
def test_positive_weight_counts_foreground_and_background_alike():
    data = Masks([[[0, 0, 0, 1]], [[0, 0, 255, 255]]], "binary", ("background", "leaf"))
    assert data.positive_weight() == 5.0
    labels = np.array([[[1, 255]], [[1, 255]], [[0, 255]], [[0, 255]]]).transpose(1, 0, 2)[None]
    several = Masks(labels, "multilabel", ("a", "b"))
    with pytest.warns(UserWarning, match=r"contains: b\.$"):
        assert several.positive_weight() == [1.0, 1.0]
    with pytest.warns(UserWarning, match=r"contains: leaf\.$"):
        assert Masks([[[0, 0]]], "binary", ("background", "leaf")).positive_weight() == 1.0
    with pytest.raises(ValueError, match="use `class_weights`"):
        Masks([[[0, 1]]], "multiclass", ("a", "b")).positive_weight()
