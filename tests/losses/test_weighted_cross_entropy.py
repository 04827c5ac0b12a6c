import keras
import numpy as np
import pytest

from keras_segattn.losses import WeightedCrossEntropy

CLASSES = 4


def oracle(labels, logits, weights):
    total = weight_sum = 0.0
    for index in np.ndindex(labels.shape):
        label = labels[index]
        if label == 255:
            continue
        x = logits[index].astype("float64")
        total += weights[label] * (np.log(np.exp(x - x.max()).sum()) + x.max() - x[label])
        weight_sum += weights[label]
    return total / weight_sum


@pytest.fixture
def batch(rng):
    labels = rng.integers(0, CLASSES, (2, 5, 6)).astype("uint8")
    labels[rng.random(labels.shape) < 0.3] = 255
    return labels, rng.normal(0, 3, (2, 5, 6, CLASSES)).astype("float32")


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 5.0, 0.25]])
def test_agrees_with_the_equation(batch, weights):
    loss = float(WeightedCrossEntropy(weights)(*batch))
    np.testing.assert_allclose(loss, oracle(*batch, weights or [1.0] * CLASSES), rtol=1e-5)


def test_without_weights_it_is_that_of_keras(batch):
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    np.testing.assert_allclose(float(WeightedCrossEntropy()(*batch)), float(theirs(*batch)), 1e-5)


def test_masks_with_a_channel_axis_are_the_same(batch):
    labels, logits = batch
    loss = WeightedCrossEntropy([1, 2, 3, 4])
    assert float(loss(labels[..., None], logits)) == float(loss(labels, logits))


def test_all_void_is_zero_with_zero_gradient(rng):
    image = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(CLASSES, 1)])
    model.compile(keras.optimizers.SGD(1.0), WeightedCrossEntropy([1, 2, 3, 4]))
    before = model.get_weights()
    assert model.train_on_batch(image, np.full((2, 4, 4), 255, "uint8")) == 0
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_do_not_overflow(batch, dtype):
    labels, logits = batch
    large = keras.ops.cast(1e4 * np.sign(logits), dtype)
    loss = float(WeightedCrossEntropy([1, 2, 3, 4])(labels, large))
    assert 0 < loss < np.inf


def test_config_and_refusals(batch):
    loss = WeightedCrossEntropy([1, 2, 3, 4], ignore_class=0)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    with pytest.raises(ValueError, match="finite and not negative"):
        WeightedCrossEntropy([1, -2])
    with pytest.raises(ValueError, match="3 class weights do not fit logits of 4 classes"):
        WeightedCrossEntropy([1, 2, 3])(*batch)
