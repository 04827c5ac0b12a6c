"""Sums of losses."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import SegmentationModel
from keras_segattn.losses import (
    BinaryCrossEntropy,
    DiceLoss,
    LovaszLoss,
    SumOfLosses,
    WeightedCrossEntropy,
)
from tests.losses.cases import draw_batch


def test_arithmetic(rng):
    batch = draw_batch("multiclass", rng)
    dice, entropy = DiceLoss(), WeightedCrossEntropy(class_weights=[1, 2, 3])
    d, e = float(dice(*batch)), float(entropy(*batch))
    keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    k = float(keras_loss(*batch))
    sums = {
        "0.5 * dice + entropy": (0.5 * dice + entropy, 0.5 * d + e),
        "dice + entropy * 2": (dice + entropy * 2, d + 2 * e),
        "2 * (dice + entropy)": (2 * (dice + entropy), 2 * d + 2 * e),
        "keras": (dice + keras_loss, d + k),
        "keras first": (keras_loss + dice, d + k),
        "three": (dice + 0.1 * entropy + dice, 2 * d + 0.1 * e),
        "sum": (sum([dice, entropy]), d + e),
    }
    for name, (loss, want) in sums.items():
        assert isinstance(loss, SumOfLosses), name
        np.testing.assert_allclose(float(loss(*batch)), want, rtol=1e-5, err_msg=name)


def test_config_round_trip(rng):
    batch = draw_batch("binary", rng)
    loss = 0.5 * DiceLoss(smooth=2.0) + BinaryCrossEntropy(3.0)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert float(copy(*batch)) == float(loss(*batch))


def test_it_takes_the_task_of_a_model_and_is_saved_with_it(tmp_path, rng):
    labels, logits = draw_batch("multilabel", rng)
    image = keras.Input((6, 7, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(3, 1)(image), task="multilabel")
    model.compile("sgd", 0.5 * DiceLoss() + WeightedCrossEntropy())
    assert [one.task for one in model.loss.losses] == ["multilabel"] * 2
    value = model.train_on_batch(logits, labels)
    assert np.isfinite(value)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    values = [one.evaluate(logits, labels, verbose=0) for one in (loaded, model)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    with pytest.raises(ValueError, match=r"255 for void. Received 9"):
        model.fit(logits, np.full_like(labels, 9), verbose=0)


def test_refusals():
    with pytest.raises(ValueError, match=r"one or more Keras losses"):
        SumOfLosses([])
    with pytest.raises(ValueError, match=r"one finite number for each of the 2 losses"):
        SumOfLosses([DiceLoss(), LovaszLoss()], [1.0])
    with pytest.raises(ValueError, match=r"others expect probabilities.*the same `from_logits`"):
        DiceLoss() + WeightedCrossEntropy(from_logits=False)
    with pytest.raises(TypeError):
        DiceLoss() + 1
    with pytest.raises(TypeError):
        DiceLoss() * DiceLoss()
