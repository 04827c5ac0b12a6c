"""Properties of all losses, for each task: void, class weights, half precision, configs."""

import keras
import numpy as np
import pytest

from keras_segattn import losses, metrics
from keras_segattn.applications import SegmentationModel
from keras_segattn.recipes.recipe import LOSSES as LOSSES_OF_RECIPES
from keras_segattn.training.build import LOSSES as LOSSES_THAT_ARE_BUILT
from tests.losses.cases import ALL, REGION_LOSSES, TASKS, draw_batch, void_of, with_served


@pytest.mark.once
def test_every_loss_has_a_case_and_a_name_in_recipes():
    exported = {name for name in losses.__all__ if name != "SumOfLosses"}
    assert {make.__name__ for make in ALL.values()} == exported
    assert set(ALL) == set(LOSSES_OF_RECIPES) == set(LOSSES_THAT_ARE_BUILT)


def weighted(make, task, classes=3):
    """A loss with class weights, where it takes some."""
    if task == "binary":
        return make() if make in REGION_LOSSES.values() else make(class_weights=[1.0, 3.0])
    return make(class_weights=list(range(1, classes + 1)), task=task)


def trained(loss, images, labels, channels):
    """The change of a model's weights by a step of gradient descent, and the loss."""
    image = keras.Input((6, 7, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(channels, 1)(image), task=loss.task)
    model.compile(keras.optimizers.SGD(1.0), loss)
    before = model.get_weights()
    value = float(model.train_on_batch(images, labels))
    return [one - other for one, other in zip(model.get_weights(), before, strict=True)], value


@with_served
@pytest.mark.parametrize("spoiled", [np.nan, 7.0])
def test_void_counts_for_nothing(make, task, spoiled, rng):
    labels, logits = draw_batch(task, rng)
    loss = weighted(make, task)
    changed = np.where(void_of(labels, task), np.float32(spoiled), logits)
    value = float(loss(labels, logits))
    assert np.isfinite(value) and value > 0
    np.testing.assert_allclose(float(loss(labels, changed)), value, rtol=1e-6)


@with_served
def test_all_void_is_zero_with_zero_gradient(make, task, rng):
    labels, logits = draw_batch(task, rng, void=2)
    images = rng.normal(size=(2, 6, 7, 3)).astype("float32")
    changes, value = trained(make(task=task), images, labels, logits.shape[-1])
    assert value == 0
    assert not any(np.abs(change).max() for change in changes)


@with_served
def test_images_without_foreground(make, task, rng):
    labels, logits = draw_batch(task, rng)
    labels = np.where(labels == 255, 255, 0).astype("uint8")
    images = rng.normal(size=(2, 6, 7, 3)).astype("float32")
    changes, value = trained(make(task=task), images, labels, logits.shape[-1])
    assert np.isfinite(value)
    assert all(np.isfinite(change).all() for change in changes)
    right = np.full_like(logits, -30.0)
    if task == "multiclass":
        right[..., 0] = 30.0
    assert float(make(task=task)(labels, right)) < 1e-3


@with_served
def test_right_is_better_than_wrong(make, task, rng):
    labels, logits = draw_batch(task, rng)
    if task == "multiclass":
        right = np.where(labels[..., None] == np.arange(3), 20.0, -20.0)
    else:
        right = np.where(labels.reshape(logits.shape) == 1, 20.0, -20.0)
    right = right.astype("float32")
    values = [float(make(task=task)(labels, x)) for x in (right, logits, -right)]
    assert values[0] < 0.02
    # What is wrong everywhere has its contours in the right places.
    values = values[:2] if make is losses.BoundaryLoss else values
    assert values == sorted(values)
    assert values[0] < values[1]


@with_served
def test_half_precision_does_not_overflow(make, task, rng):
    labels, logits = draw_batch(task, rng)
    large = keras.ops.cast(1e4 * np.sign(logits), "float16")
    value = float(make(task=task)(labels, large))
    np.testing.assert_allclose(value, float(make(task=task)(labels, 1e4 * np.sign(logits))), 1e-3)
    assert np.isfinite(value)


@with_served
def test_probabilities_are_the_same(make, task, rng):
    labels, logits = draw_batch(task, rng)
    function = keras.ops.softmax if task == "multiclass" else keras.ops.sigmoid
    want = float(make(task=task)(labels, logits))
    found = make(task=task, from_logits=False)(labels, function(logits))
    np.testing.assert_allclose(float(found), want, rtol=1e-4)


@with_served
def test_labels_that_are_no_classes(make, task, rng):
    labels, logits = draw_batch(task, rng)
    labels.flat[3] = 7
    with pytest.raises(ValueError, match=r"255 for void. Received 7 in 1"):
        make(task=task)(labels, logits)
    assert np.isnan(float(make(task=task)(keras.ops.convert_to_tensor(labels), logits)))


@with_served
def test_config_round_trip(make, task, rng):
    batch = draw_batch(task, rng)
    loss = weighted(make, task)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is make
    assert copy.get_config() == loss.get_config()
    assert float(copy(*batch)) == float(loss(*batch))


@with_served
def test_weights_of_images(make, task, rng):
    """An image of weight 0 counts for nothing; equal weights change nothing of the regions."""
    labels, logits = draw_batch(task, rng)
    options = {"per_image": True} if make is losses.LovaszLoss else {}
    loss = make(task=task, **options)
    other = np.concatenate([logits[:1], rng.normal(size=logits[1:].shape)]).astype("float32")
    weights = np.array([1.0, 0.0], "float32")
    if make is losses.OHEMCrossEntropy:
        other = logits
    one = float(loss(labels, logits, sample_weight=weights))
    np.testing.assert_allclose(float(loss(labels, other, sample_weight=weights)), one, rtol=1e-5)
    assert one > 0


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_the_model_gives_its_task(make):
    for task in TASKS:
        if task not in make.TASKS:
            with pytest.raises(ValueError, match=r"is for task='binary' or 'multilabel'"):
                make(task=task)
            continue
        loss = make()
        assert loss.for_task(task).task == task
        assert loss.task is None
        assert make(task=task).for_task(task).task == task
        with pytest.raises(ValueError, match=f"loss '{loss.name}' for task='{task}'"):
            make(task=task).for_task("multilabel" if task == "binary" else "binary")


def test_one_channel_is_binary_and_never_a_softmax(rng):
    labels, logits = draw_batch("binary", rng)
    want = losses.BinaryCrossEntropy(task="binary")(labels, logits)
    found = losses.WeightedCrossEntropy()(labels, logits)
    np.testing.assert_allclose(float(found), float(want), rtol=1e-6)
    with pytest.raises(ValueError, match=r"softmax of one class is always 1.*task='binary'"):
        losses.WeightedCrossEntropy(task="multiclass")(labels, logits)


def test_binary_cross_entropy_is_that_of_keras(rng):
    labels, logits = draw_batch("binary", rng)
    seen = labels != 255
    theirs = keras.losses.BinaryCrossentropy(from_logits=True)
    want = theirs(labels[seen].astype("float32")[:, None], logits[seen])
    found = losses.BinaryCrossEntropy()(labels, logits)
    np.testing.assert_allclose(float(found), float(want), rtol=1e-5)


@pytest.mark.parametrize("positive", [2.5, [2.0, 0.5, 1.0]])
def test_positive_weight_agrees_with_the_equation(positive, rng):
    labels, logits = draw_batch("multilabel", rng)
    x = logits.astype("float64")
    values = np.where(labels == 1, np.asarray(positive) * np.log1p(np.exp(-x)), np.log1p(np.exp(x)))
    weights = np.array([1.0, 4.0, 0.5]) * (labels != 255)
    loss = losses.BinaryCrossEntropy(positive, class_weights=[1.0, 4.0, 0.5])
    want = (weights * values).sum() / weights.sum()
    np.testing.assert_allclose(float(loss(labels, logits)), want, rtol=1e-5)


def test_losses_per_pixel_have_the_shape_of_the_labels(rng):
    for task in TASKS:
        labels, logits = draw_batch(task, rng)
        loss = losses.WeightedCrossEntropy(task=task, reduction=None)
        assert tuple(loss(labels, logits).shape) == labels.shape


def test_refusals(rng):
    labels, logits = draw_batch("binary", rng)
    with pytest.raises(ValueError, match=r"must be a positive number.*Received: 0"):
        losses.BinaryCrossEntropy(0)
    with pytest.raises(ValueError, match=r"2 positive weights do not fit logits of 1 class"):
        losses.BinaryCrossEntropy([1.0, 2.0])(labels, logits)
    with pytest.raises(ValueError, match=r"has only one region, the foreground, and accepts no"):
        losses.DiceLoss(class_weights=[1.0, 2.0])(labels, logits)
    with pytest.raises(
        ValueError, match=r"shape .batch, height, width, classes., like the outputs"
    ):
        losses.DiceLoss(task="multilabel")(labels, np.zeros((2, 6, 7, 3)))
    with pytest.raises(ValueError, match=r"pass task='multilabel'"):
        losses.DiceLoss()(np.zeros((2, 6, 7, 3)), np.zeros((2, 6, 7, 3)))
    with pytest.raises(ValueError, match="accepts no pixel weights"):
        losses.LovaszLoss()(labels, logits, sample_weight=np.ones(2))
    with pytest.raises(ValueError, match=r"`gamma` must be positive"):
        losses.FocalTverskyLoss(gamma=0)
    with pytest.raises(ValueError, match=r"`smooth` must be at least 0. Received: -1"):
        losses.DiceLoss(smooth=-1)
    with pytest.raises(ValueError, match=r"`distance` must be at least 1"):
        losses.BoundaryLoss(distance=0)


def plain_model(activation, classes):
    image = keras.Input((4, 4, 2))
    return keras.Model(image, keras.layers.Conv2D(classes, 1, activation=activation)(image))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX does not tell")
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_a_plain_model_that_ends_in_probabilities_is_told(activation):
    classes = 1 if activation == "sigmoid" else 3
    model = plain_model(activation, classes)
    images, labels = np.zeros((1, 4, 4, 2)), np.zeros((1, 4, 4), "int32")
    weighted = losses.WeightedCrossEntropy
    task = "binary" if classes == 1 else "multiclass"
    metric = metrics.CalibrationError(max(2, classes), task=task)
    for loss in (weighted(), losses.DiceLoss(), losses.DiceLoss() + losses.FocalLoss()):
        model.compile("sgd", loss)
        if activation is None:
            model.fit(images, labels, verbose=0)
        else:
            with pytest.raises(ValueError, match=r"expects logits, .* Pass from_logits=False"):
                model.fit(images, labels, verbose=0)
    model.compile("sgd", weighted(from_logits=activation is None), metrics=[metric])
    if activation is None:
        model.evaluate(images, labels, verbose=0)
    else:
        with pytest.raises(ValueError, match="'calibration_error' expects logits"):
            model.evaluate(images, labels, verbose=0)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="raises; see the test above")
@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("make", [ALL["weighted_cross_entropy"], ALL["dice"]])
def test_a_softmax_in_place_of_logits_is_nan_on_jax(make, precision, rng):
    images = rng.normal(0, 9, size=(2, 4, 4, 2))
    labels = rng.integers(0, 19, (2, 4, 4), "int32")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        softmax, logits = plain_model("softmax", 19), plain_model(None, 19)
    finally:
        keras.config.set_dtype_policy(policy)
    for model, nan in ((softmax, True), (logits, False)):
        model.compile("sgd", make(), metrics=[metrics.CalibrationError(19)])
        assert np.isnan(model.evaluate(images, labels, verbose=0)).tolist() == [nan, nan]
    before = softmax.get_weights()
    softmax.fit(images, labels, verbose=0)
    for old, new in zip(before, softmax.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@with_served
def test_a_softmax_in_place_of_logits(make, task, rng):
    """Only a softmax can be told from logits by its values: sigmoids may be logits."""
    labels, logits = draw_batch(task, rng)
    softmax = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    tensor = keras.ops.convert_to_tensor(softmax)
    if task == "multiclass":
        with pytest.raises(ValueError, match=r"expects logits, .* Pass from_logits=False"):
            make(task=task)(labels, softmax)
        assert np.isnan(float(make(task=task)(labels, tensor)))
    else:
        assert np.isfinite(float(make(task=task)(labels, tensor)))
    almost = softmax.copy()
    almost[0, 0, 0] += 0.01
    for values in (almost, np.zeros_like(logits), np.ones_like(logits), -softmax):
        assert np.isfinite(float(make(task=task)(labels, values)))
