import keras
import numpy as np
import pytest

from keras_segattn import applications
from keras_segattn.applications.deep_supervision import DeepSupervision
from keras_segattn.losses import FocalLoss, OHEMCrossEntropy, WeightedCrossEntropy
from keras_segattn.metrics import SegmentationScores
from tests.applications.cases import network, tiny_backbone
from tests.training import RUN_EAGERLY, call, to_numpy

# Each network with its auxiliary heads, and the weights of their losses.
SUPERVISED = {
    "attanet": (network(applications.AttaNet, filters=8, auxiliary_heads=True), [1, 1]),
    "canet": (
        network(applications.CANet, filters=16, up_channels=8, auxiliary_heads=True),
        [0.4],
    ),
    "ccnet": (network(applications.CCNet, filters=16, auxiliary_heads=True), [0.4]),
    "crosscbam": (
        network(applications.CrossCBAM, filters=16, reduction=2, auxiliary_heads=True),
        [1],
    ),
}
with_networks = pytest.mark.parametrize(
    ("make", "weights"), SUPERVISED.values(), ids=SUPERVISED.keys()
)


@pytest.fixture
def batch(rng):
    images = rng.normal(size=(4, 48, 64, 3)).astype("float32")
    masks = rng.integers(0, 5, (4, 48, 64)).astype("uint8")
    masks[:, :5] = 255
    return images, masks


def compiled(model, loss):
    model.compile(keras.optimizers.SGD(0.0), loss, metrics=[SegmentationScores(5)])
    return model


@with_networks
def test_loss_is_the_weighted_sum_and_metrics_see_the_main_output(make, weights, batch):
    images, masks = batch
    # Dropout would make the losses of two passes differ.
    backbone = tiny_backbone()
    model = make(backbone=backbone, input_shape=(48, 64, 3))
    for layer in model.network._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    loss = WeightedCrossEntropy([1, 2, 3, 4, 5])
    outputs = call(model.network, images, training=True)
    losses = [float(loss(masks, output)) for output in outputs]
    want = losses[0] + sum(w * value for w, value in zip(weights, losses[1:], strict=True))
    logs = compiled(model, loss).train_on_batch(images, masks, return_dict=True)
    assert logs["loss"] == pytest.approx(want, rel=1e-4)
    valid = masks != 255
    right = outputs[0].argmax(-1)[valid] == masks[valid]
    assert logs["pixel_accuracy"] == pytest.approx(right.mean(), abs=1e-3)


@with_networks
def test_outside_of_training_there_is_one_output(make, weights, batch, tmp_path):
    images, masks = batch
    model = compiled(make(), WeightedCrossEntropy())
    assert isinstance(model, DeepSupervision)
    assert model.auxiliary_weights == weights
    logits = call(model, images)
    assert logits.shape == (4, 48, 64, 5)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(copy.predict(images, verbose=0), logits, atol=1e-5)
    want = float(WeightedCrossEntropy()(masks, logits))
    assert copy.evaluate(images, masks, verbose=0)[0] == pytest.approx(want, rel=1e-4)
    copy.run_eagerly = RUN_EAGERLY
    copy.fit(images, masks, verbose=0)


@with_networks
def test_without_auxiliary_heads_there_is_no_weight_of_theirs(make, weights):
    plain, supervised = make(auxiliary_heads=False), make()
    assert not isinstance(plain, DeepSupervision)
    assert len(plain.weights) < len(supervised.weights)
    assert not [weight.path for weight in plain.weights if "auxiliary" in weight.path]


def squared_error(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


@pytest.mark.parametrize("loss", ["mean_squared_error", squared_error])
def test_losses_that_are_names_or_functions(loss, rng):
    """Two equal outputs: the sum must be 1.5 times the loss of one."""
    image = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(3, 1)(image)
    single = keras.Model(image, x)
    double = DeepSupervision(keras.Model(image, [x, keras.layers.Identity()(x)]), [0.5])
    images, targets = rng.normal(size=(2, 2, 4, 4, 3)).astype("float32")
    values = []
    for model in (single, double):
        model.compile(keras.optimizers.SGD(0.0), loss)
        values.append(model.train_on_batch(images, targets))
    assert values[1] == pytest.approx(1.5 * values[0], rel=1e-4)


def three_outputs():
    """Returns a supervised model, its inner network, images and masks."""
    image = keras.Input((4, 6, 3))
    outputs = [keras.layers.Conv2D(3, 1, name=f"head{i}")(image) for i in range(3)]
    network = keras.Model(image, outputs)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 4, 6, 3)).astype("float32")
    return DeepSupervision(network, [1.0, 0.5]), images, rng.integers(0, 3, (2, 4, 6))


@pytest.mark.parametrize(
    ("losses", "loss_weights", "weights"),
    [
        ([0, 1, 2], None, [1.0, 1.0, 0.5]),
        ([0, 1], None, [1.0, 1.0, 0.5]),
        ([0, 1], [0.3, 0.6, 0.1], [0.3, 0.6, 0.1]),
        (2, [0.3, 0.6, 0.1], [0.3, 0.6, 0.1]),
    ],
)
def test_each_output_has_its_loss_and_weight(losses, loss_weights, weights, tmp_path):
    choices = [WeightedCrossEntropy(), FocalLoss(3.0), OHEMCrossEntropy(min_kept=5)]
    model, images, masks = three_outputs()
    loss = [choices[i] for i in losses] if isinstance(losses, list) else choices[losses]
    model.compile(keras.optimizers.SGD(0.0), loss, loss_weights=loss_weights)
    chosen = (losses if isinstance(losses, list) else [losses]) * 3
    chosen = chosen[:3] if len(set(chosen)) != 2 else [chosen[0], chosen[1], chosen[1]]
    values = [
        float(to_numpy(choices[i](masks, output)))
        for i, output in zip(chosen, model.network(images, training=True), strict=True)
    ]
    want = float(np.dot(weights, values))
    assert model.train_on_batch(images, masks) == pytest.approx(want, rel=1e-5)
    assert model.test_on_batch(images, masks) == pytest.approx(weights[0] * values[0], rel=1e-5)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert copy.get_compile_config() == model.get_compile_config()
    assert copy.train_on_batch(images, masks) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "loss_weights", "message"),
    [
        ([WeightedCrossEntropy()], None, "2 auxiliary outputs take .* or 3 losses"),
        ({"head0": WeightedCrossEntropy()}, None, "have no names"),
        (WeightedCrossEntropy(), [1.0, 0.4], "the main output and 2 auxiliary outputs"),
        (WeightedCrossEntropy(), {"head0": 1.0}, "`loss_weights` must be a list"),
    ],
)
def test_losses_that_do_not_fit_the_outputs_are_refused(loss, loss_weights, message):
    model, _, _ = three_outputs()
    with pytest.raises(ValueError, match=message):
        model.compile("sgd", loss, loss_weights=loss_weights)


def test_weights_that_do_not_fit_are_refused():
    image = keras.Input((4, 4, 3))
    network = keras.Model(image, [keras.layers.Conv2D(2, 1)(image) for _ in range(2)])
    with pytest.raises(ValueError, match="network with 1 auxiliary output needs"):
        DeepSupervision(network, [1, 1])
