"""The losses against plain NumPy; all of them ignore void."""

import keras
import numpy as np
import pytest

from keras_segattn.losses import FocalLoss, OHEMCrossEntropy, WeightedCrossEntropy

CLASSES = 4
WEIGHTS = [1.0, 0.0, 5.0, 0.25]

LOSSES = {
    "weighted_cross_entropy": WeightedCrossEntropy,
    "focal": FocalLoss,
    "ohem": OHEMCrossEntropy,
}
with_losses = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES.keys())


def cross_entropies(labels, logits):
    """Labels and cross-entropies of the pixels that are not void, in float64."""
    valid = labels != 255
    x, y = logits[valid].astype("float64"), labels[valid].astype(int)
    top = x.max(axis=-1)
    total = np.log(np.exp(x - top[:, None]).sum(axis=-1)) + top
    return y, total - x[np.arange(len(y)), y]


def weighted_mean(values, labels, weights):
    weights = np.array(weights or [1.0] * CLASSES)[labels]
    return (weights * values).sum() / weights.sum()


@pytest.fixture
def batch(rng):
    labels = rng.integers(0, CLASSES, (2, 5, 6)).astype("uint8")
    labels[rng.random(labels.shape) < 0.3] = 255
    return labels, rng.normal(0, 3, (2, 5, 6, CLASSES)).astype("float32")


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_weighted_cross_entropy_agrees_with_the_equation(batch, weights):
    labels, values = cross_entropies(*batch)
    loss = float(WeightedCrossEntropy(weights)(*batch))
    np.testing.assert_allclose(loss, weighted_mean(values, labels, weights), rtol=1e-5)


def test_without_weights_it_is_that_of_keras(batch):
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    np.testing.assert_allclose(float(WeightedCrossEntropy()(*batch)), float(theirs(*batch)), 1e-5)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("gamma", [2.0, 0.5, 0.0])
def test_focal_loss_agrees_with_the_equation(batch, gamma, weights):
    labels, values = cross_entropies(*batch)
    want = weighted_mean((1 - np.exp(-values)) ** gamma * values, labels, weights)
    loss = FocalLoss(gamma, class_weights=weights)
    np.testing.assert_allclose(float(loss(*batch)), want, rtol=1e-4)


def reference_ohem(values, threshold, min_kept):
    """As AttaNet's code has it, where no pixel is void."""
    values = np.sort(values)[::-1]
    limit = -np.log(threshold)
    if values[min_kept] > limit:
        return values[values > limit].mean()
    return values[:min_kept].mean()


@pytest.mark.parametrize("threshold", [0.7, 0.01])
@pytest.mark.parametrize("min_kept", [1, 7, 20, 59])
def test_ohem_agrees_with_the_reference(batch, threshold, min_kept):
    labels, logits = batch
    labels = np.where(labels == 255, 1, labels)
    _, values = cross_entropies(labels, logits)
    want = reference_ohem(values, threshold, min_kept)
    loss = OHEMCrossEntropy(threshold, min_kept)
    np.testing.assert_allclose(float(loss(labels, logits)), want, rtol=1e-5)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.999])
def test_ohem_keeps_a_share_of_the_pixels_of_any_batch(batch, share):
    for count in (1, len(batch[0])):
        labels, logits = batch[0][:count], batch[1][:count]
        number = int(share * labels.size)
        want = OHEMCrossEntropy(1e-9, number)(labels, logits)
        np.testing.assert_allclose(float(OHEMCrossEntropy(1e-9, share)(labels, logits)), want, 1e-6)
    # At least one.
    loss = OHEMCrossEntropy(1e-9, 1e-9)(*batch)
    np.testing.assert_allclose(float(loss), float(OHEMCrossEntropy(1e-9, 1)(*batch)), 1e-6)


@pytest.mark.tensorflow
def test_ohem_keeps_a_share_of_batches_of_free_size(batch):
    import tensorflow as tf

    signature = [tf.TensorSpec([None] * 3, "uint8"), tf.TensorSpec([None, None, None, 4])]
    loss = tf.function(OHEMCrossEntropy(1e-9, 0.1), input_signature=signature)
    want = float(OHEMCrossEntropy(1e-9, 0.1)(*batch))
    np.testing.assert_allclose(float(loss(*map(tf.constant, batch))), want, rtol=1e-6)


def test_ohem_with_fewer_pixels_than_it_keeps_is_cross_entropy(batch):
    np.testing.assert_allclose(
        float(OHEMCrossEntropy()(*batch)), float(WeightedCrossEntropy()(*batch)), rtol=1e-6
    )


def test_ohem_leaves_void_out(batch):
    labels, logits = batch
    _, values = cross_entropies(labels, logits)
    want = np.sort(values)[::-1][:5].mean()
    loss = OHEMCrossEntropy(threshold=1e-9, min_kept=5)
    np.testing.assert_allclose(float(loss(labels, logits)), want, rtol=1e-5)


@with_losses
def test_masks_with_a_channel_axis_are_the_same(batch, make):
    labels, logits = batch
    loss = make(class_weights=[1, 2, 3, 4])
    assert float(loss(labels[..., None], logits)) == float(loss(labels, logits))


@with_losses
def test_void_pixels_count_for_nothing(batch, make, rng):
    labels, logits = batch
    changed = logits.copy()
    changed[labels == 255] = rng.normal(0, 30, changed[labels == 255].shape)
    loss = make(class_weights=[1, 2, 3, 4])
    np.testing.assert_allclose(float(loss(labels, changed)), float(loss(labels, logits)), 1e-6)


def trained(loss, image, labels):
    """The change of a model's weights by a step of gradient descent, and the loss."""
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(CLASSES, 1)])
    model.compile(keras.optimizers.SGD(1.0), loss)
    before = model.get_weights()
    value = model.train_on_batch(image, labels)
    changes = [one - other for one, other in zip(model.get_weights(), before, strict=True)]
    return changes, float(value)


@with_losses
def test_all_void_is_zero_with_zero_gradient(make, rng):
    image = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    changes, value = trained(
        make(class_weights=[1, 2, 3, 4]), image, np.full((2, 4, 4), 255, "uint8")
    )
    assert value == 0
    for change in changes:
        np.testing.assert_array_equal(change, 0)


@with_losses
def test_a_certain_network_has_a_finite_gradient(make, rng):
    image = rng.normal(size=(2, 4, 4, 3)).astype("float32") * 1e4
    changes, value = trained(make(), image, rng.integers(0, CLASSES, (2, 4, 4)).astype("uint8"))
    assert np.isfinite(value)
    assert all(np.isfinite(change).all() for change in changes)
    assert any(np.abs(change).max() > 0 for change in changes)


@with_losses
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_do_not_overflow(batch, make, dtype):
    labels, logits = batch
    large = keras.ops.cast(1e4 * np.sign(logits), dtype)
    loss = float(make(class_weights=[1, 2, 3, 4])(labels, large))
    assert 0 < loss < np.inf


@with_losses
def test_config_round_trip(make):
    loss = make(class_weights=[1, 2, 3, 4], ignore_class=0)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is make
    assert copy.get_config() == loss.get_config()


@with_losses
def test_refusals(batch, make):
    with pytest.raises(ValueError, match="finite and not negative"):
        make(class_weights=[1, -2])
    with pytest.raises(ValueError, match="one weight for each of 4 classes"):
        make(class_weights=[1, 2, 3])(*batch)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FocalLoss(gamma=-1), "`gamma` must be at least 0. Received: -1"),
        (lambda: OHEMCrossEntropy(threshold=0), "between 0 and 1. Received: 0"),
        (lambda: OHEMCrossEntropy(min_kept=0), "fraction of them between 0 and 1. Received: 0"),
        (lambda: OHEMCrossEntropy(min_kept=1.5), "fraction of them between 0 and 1. Received: 1.5"),
    ],
)
def test_refusals_of_one_loss(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@with_losses
def test_class_weights_as_a_dict(batch, make):
    by_class = make(class_weights={1: 2.0, 0: 1.0, 3: 4.0, 2: 3.0})
    assert by_class.class_weights == [1, 2, 3, 4]
    assert float(by_class(*batch)) == float(make(class_weights=[1, 2, 3, 4])(*batch))
    for wrong in ({1: 1.0, 2: 5.0}, {"0": 1.0, "1": 5.0}):
        with pytest.raises(ValueError, match="every class from 0 on as a key"):
            make(class_weights=wrong)


@with_losses
def test_probabilities_are_taken_with_from_logits_false(batch, make):
    labels, logits = batch
    probabilities = keras.ops.softmax(logits)
    want = float(make(class_weights=WEIGHTS)(labels, logits))
    loss = make(class_weights=WEIGHTS, from_logits=False)
    np.testing.assert_allclose(float(loss(labels, probabilities)), want, rtol=1e-4)
    certain = np.eye(CLASSES, dtype="float32")[np.where(labels == 255, 0, labels)]
    assert float(loss(labels, certain)) < 1e-5
    assert 1 < float(loss((labels + 1) % CLASSES, certain)) < np.inf


@with_losses
def test_a_softmax_model_trains(make, rng):
    image = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    labels = rng.integers(0, CLASSES, (2, 4, 4)).astype("uint8")
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Conv2D(CLASSES, 1, activation="softmax")]
    )
    model.compile(keras.optimizers.SGD(0.5), make(from_logits=False))
    values = [model.train_on_batch(image, labels) for _ in range(10)]
    assert values[-1] < values[0]


@with_losses
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_of_void_are_taken_out_before_the_arithmetic(batch, make, value):
    labels, logits = batch
    spoiled = np.where((labels == 255)[..., None], np.float32(value), logits)
    loss = make(class_weights=[1, 2, 3, 4])
    assert float(loss(labels, spoiled)) == float(loss(labels, logits))
    model = keras.Sequential([keras.Input((5, 6, CLASSES)), keras.layers.Activation("linear")])
    model.compile(keras.optimizers.SGD(1.0), loss)
    assert model.test_on_batch(spoiled, labels) == pytest.approx(float(loss(labels, logits)), 1e-6)


@with_losses
@pytest.mark.parametrize("label", [-1, -100, CLASSES, 254, 2**40, 0.5, np.nan, np.inf])
def test_labels_that_are_neither_class_nor_void(batch, make, label):
    labels, logits = batch
    labels = labels.astype("int64" if isinstance(label, int) else "float64")
    labels[0, 0, :2] = label
    with pytest.raises(ValueError, match=rf"from 0 to 3, or 255 for void. Received {label}.* in 2"):
        make()(labels, logits)
    assert np.isnan(float(make()(keras.ops.convert_to_tensor(labels, "float32"), logits)))


@with_losses
@pytest.mark.parametrize("label", [-1, CLASSES, 254, 2**31 - 1])
def test_such_labels_make_the_loss_nan_in_compiled_code(make, label, rng):
    image = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    labels = rng.integers(0, CLASSES, (2, 4, 4)).astype("int32")
    labels[0, 0, 0] = label
    changes, value = trained(make(), image, keras.ops.convert_to_tensor(labels))
    assert np.isnan(value)
    assert all(np.isfinite(change).all() for change in changes)


@with_losses
@pytest.mark.parametrize("ignored", [-1, -100, 0])
def test_any_integer_can_be_void(batch, make, ignored):
    labels, logits = batch
    other = np.where(labels == 255, ignored, labels.astype("int64") % 3 + 1)
    same = np.where(labels == 255, 255, labels.astype("int64") % 3 + 1)
    want = float(make()(same, logits))
    assert float(make(ignore_class=ignored)(other, logits)) == want


@with_losses
def test_sample_weights_of_images_and_of_pixels(batch, make):
    labels, logits = batch
    labels[0], labels[1] = labels[1], labels[1]
    loss = make()
    one, other = (
        float(loss(np.where(np.arange(2)[:, None, None] == i, labels, 255), logits))
        for i in range(2)
    )
    want = (3 * one + 0.5 * other) / 2
    by_image = np.array([3.0, 0.5])
    assert float(loss(labels, logits, by_image)) == pytest.approx(want, rel=1e-5)
    by_pixel = np.broadcast_to(by_image[:, None, None], labels.shape)
    assert float(loss(labels, logits, by_pixel)) == pytest.approx(want, rel=1e-5)
    with pytest.raises(ValueError, match="one number per image"):
        loss(labels, logits, np.ones((2, 5)))


@with_losses
def test_shapes_that_do_not_fit_are_refused(batch, make):
    labels, logits = batch
    with pytest.raises(ValueError, match=r"y_true.shape=\(2, 6, 5\), y_pred.shape=\(2, 5, 6, 4\)"):
        make()(np.swapaxes(labels, 1, 2), logits)
    with pytest.raises(ValueError, match="They look one-hot"):
        make()(np.eye(CLASSES)[labels % CLASSES], logits)
    with pytest.raises(ValueError, match="softmax of one class is always 1"):
        make(task="multiclass")(np.zeros((2, 5, 6)), logits[..., :1])


@with_losses
def test_labels_are_compared_in_full_precision(make, rng):
    labels = rng.integers(0, 300, (1, 5, 6))
    logits = rng.normal(size=(1, 5, 6, 300)).astype("float32")
    want = float(make()(labels, logits))
    keras.backend.set_floatx("float16")
    try:
        assert float(make()(labels, logits)) == want
    finally:
        keras.backend.set_floatx("float32")
