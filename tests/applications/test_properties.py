"""Properties that hold for every network."""

import inspect

import keras
import numpy as np
import pytest

from keras_segattn import applications
from keras_segattn.losses import WeightedCrossEntropy
from tests.applications.cases import CASES, with_cases
from tests.layers.cases import as_array
from tests.training import (
    call,
    predict_any_size,
    predict_unknown_sizes,
    randomize,
    to_numpy,
    trained_step,
)


@with_cases
def test_logits_have_the_size_of_any_image(make, rng):
    model = make()
    assert model.output_shape == (None, None, None, 5)
    predict = predict_any_size(model)
    for height, width in ((32, 32), (33, 65), (45, 70)):
        logits = predict(rng.normal(size=(1, height, width, 3)).astype("float32"))
        assert logits.shape == (1, height, width, 5)
        assert logits.dtype == "float32"


@pytest.mark.once
@with_cases
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_features_are_pooled_as_in_keras_applications(make, pooling, rng):
    features, pooled = (make(include_top=False, pooling=kind) for kind in (None, pooling))
    pooled.set_weights(features.get_weights())
    images = rng.normal(size=(2, 32, 48, 3)).astype("float32")
    want = as_array(features(images))
    want = want.mean(axis=(1, 2)) if pooling == "avg" else want.max(axis=(1, 2))
    np.testing.assert_allclose(as_array(pooled(images)), want, atol=1e-5)
    with pytest.raises(ValueError, match=r"`pooling` requires `include_top=False`"):
        make(pooling=pooling)


@pytest.mark.once
@with_cases
def test_inputs_and_weights_are_as_in_keras_applications(make, monkeypatch):
    assert make(input_shape=None).input_shape == (None, None, None, 3)
    with pytest.raises(ValueError, match=r"ImageNet weights pass backbone_weights='imagenet'"):
        make(weights="imagenet")
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(ValueError, match="channels first is not supported"):
        make()


@pytest.mark.once
@pytest.mark.parametrize("name", ["AttaNet", "CANet", "CCNet", "CrossCBAM", "MaskRCNN"])
def test_arguments_have_names(name):
    message = rf"{name} takes its arguments by name only, such as backbone=\.\.\..*\(False,\)"
    with pytest.raises(TypeError, match=message):
        getattr(applications, name)(False)


@pytest.mark.once
@pytest.mark.parametrize("name", ["AttaNet", "CANet", "CCNet", "CrossCBAM", "MaskRCNN"])
def test_shapes_with_the_channels_first_are_refused(name):
    message = r"channels come last, such as \(64, 96, 3\)\. Received: \(3, 64, 96\)"
    with pytest.raises(ValueError, match=message):
        getattr(applications, name)(input_shape=(3, 64, 96))


@pytest.mark.once
def test_predictions_are_decoded_into_shares(rng):
    preds = rng.normal(size=(2, 6, 7, 4))
    names = ["a", "b", "c", "d"]
    for found, image in zip(
        applications.ccnet.decode_predictions(preds, 3, names), preds, strict=True
    ):
        shares = [(image.argmax(-1) == i).mean() for i in range(4)]
        order = sorted(range(4), key=lambda i: -shares[i])[:3]
        assert found == [(i, names[i], pytest.approx(shares[i])) for i in order]
    with pytest.raises(ValueError, match=r"for each of the 4 classes. Received 1"):
        applications.ccnet.decode_predictions(preds, class_names=["a"])
    with pytest.raises(ValueError, match=r"Received: shape \(6, 7, 4\)"):
        applications.ccnet.decode_predictions(preds[0])


@with_cases
def test_known_and_unknown_sizes_agree(make, rng):
    free, fixed = make(), make(input_shape=(45, 70, 3))
    assert fixed.output_shape == (None, 45, 70, 5)
    fixed.set_weights(free.get_weights())
    images = rng.normal(size=(1, 45, 70, 3)).astype("float32")
    np.testing.assert_allclose(predict_unknown_sizes(free, images), call(fixed, images), atol=1e-4)


class MeanIoU(keras.metrics.MeanIoU):
    """That of Keras, for masks with void, which knows the type of the outputs."""

    def __init__(self):
        super().__init__(5, ignore_class=255, sparse_y_pred=False, name="mean_iou")
        self.dtypes = set()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.dtypes.add(keras.backend.standardize_dtype(y_pred.dtype))
        return super().update_state(y_true, y_pred, sample_weight)


def random_masks(rng, *shape):
    masks = rng.integers(0, 5, shape).astype("uint8")
    masks[:, :4] = 255
    return masks


# In float32 `test_finite_gradients_reach_every_weight` trains, with the same loss and metric.
@with_cases
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_fit_in_half_precision(make, dtype, rng):
    keras.config.set_dtype_policy(dtype)
    model, metric = make(input_shape=(32, 48, 3)), MeanIoU()
    images, masks = rng.normal(size=(4, 32, 48, 3)).astype("float32"), random_masks(rng, 4, 32, 48)
    # TensorFlow takes longer to trace Adam's steps than the network's.
    loss = WeightedCrossEntropy([1, 2, 3, 4, 5])
    model.compile(keras.optimizers.SGD(1e-3), loss, metrics=[metric])
    try:
        history = model.fit(images, masks, batch_size=2, epochs=1, verbose=0, shuffle=False)
    except RuntimeError as error:
        if "slow_conv2d" in str(error):
            pytest.skip("torch on a CPU has no float16 gradient of a convolution with one filter")
        raise
    assert np.isfinite(history.history["loss"][0])
    # A call of the model would be compiled operation by operation on JAX.
    assert metric.dtypes == {"float32"}


@with_cases
def test_finite_gradients_reach_every_weight(make, rng):
    model = make(input_shape=(64, 96, 3))
    # Attention starts as the identity, and then only the weight of its context learns.
    randomize(model, rng)
    images = rng.normal(size=(2, 64, 96, 3)).astype("float32")
    masks, loss = random_masks(rng, 2, 64, 96), WeightedCrossEntropy([1, 2, 3, 4, 5])
    changes = trained_step(model, images, masks, loss, metrics=[MeanIoU()])
    assert all(np.isfinite(change).all() for change in changes.values())
    dead = [path for path, change in changes.items() if not np.abs(change).max() > 0]
    # The bias of attention keys moves all energies of a query alike: no softmax sees it.
    assert [path for path in dead if not path.endswith("key/bias")] == []


@with_cases
def test_file_round_trip(make, rng, tmp_path):
    model = make()
    randomize(model, rng)
    path = tmp_path / "model.keras"
    model.save(path)
    copy = keras.saving.load_model(path)
    images = rng.normal(size=(1, 33, 40, 3)).astype("float32")
    np.testing.assert_array_equal(call(model, images), call(copy, images))


@with_cases
def test_weights_argument_loads_what_save_weights_wrote(make, rng, tmp_path):
    model = make()
    randomize(model, rng)
    model.save_weights(tmp_path / "network.weights.h5")
    copy = make(weights=tmp_path / "network.weights.h5")
    for one, other in zip(model.weights, copy.weights, strict=True):
        np.testing.assert_array_equal(as_array(one), as_array(other))


@pytest.mark.once
@with_cases
def test_arguments_of_keras_applications(make, rng):
    images = rng.normal(size=(1, 32, 32, 3)).astype("float32")
    probabilities = as_array(make(classifier_activation="softmax")(images))
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    image = keras.Input((None, None, 3))
    assert make(input_tensor=image).input is image
    assert make(include_top=False).output_shape[-1] != 5
    assert make(name="other").name == "other"


@pytest.mark.once
@with_cases
def test_refusals_name_the_value(make):
    with pytest.raises(ValueError, match=r"at least 32.*\(16, 64, 3\)"):
        make(input_shape=(16, 64, 3))
    with pytest.raises(ValueError, match="without the batch"):
        make(input_shape=(1, 64, 64, 3))
    with pytest.raises(ValueError, match="Unknown backbone 'resnet17'"):
        make(backbone="resnet17")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        make(backbone_weights="nowhere.npz")


def test_every_network_has_a_case():
    from keras_segattn import applications

    exported = {name: getattr(applications, name) for name in applications.__all__}
    # The others are modules, classes of models, and functions in lower case. Mask R-CNN returns no
    # logits of pixels, and has tests of its own.
    networks = [
        name
        for name, value in exported.items()
        if inspect.isfunction(value) and not name.islower() and name != "MaskRCNN"
    ]
    assert sorted(name.lower() for name in networks) == sorted(
        {name.split("-")[0] for name in CASES}
    )


@with_cases
def test_outputs_of_intermediate_layers(make, rng):
    """As the FAQ does it: the backbone is a model of its own, and left out of the list."""
    model = make()
    layers = [layer for layer in model.layers if not isinstance(layer, keras.Model)]
    between = keras.Model(model.input, {layer.name: layer.output for layer in layers})
    images = rng.normal(size=(1, 64, 64, 3)).astype("float32")
    found = between(images, training=False)
    assert found.keys() == {layer.name for layer in layers}
    last = model.output._keras_history.operation.name
    want = to_numpy(model(images, training=False))
    np.testing.assert_allclose(to_numpy(found[last]), want, rtol=1e-5, atol=1e-6)
