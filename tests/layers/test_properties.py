"""Properties that hold for every layer."""

import keras
import numpy as np
import pytest

from keras_segattn import layers
from tests.layers.cases import CASES, as_array, with_cases
from tests.training import RUN_EAGERLY, call, predict_unknown_sizes, randomize, trained_step


def test_every_public_layer_has_a_case():
    tested = {type(case.make()).__name__ for case in CASES}
    assert tested == set(layers.__all__)


@with_cases
def test_shape_of_odd_and_tiny_maps(case, rng):
    """One layer takes all sizes."""
    layer = case.make()
    for height, width in ((6, 9), (7, 5), (1, 6), (5, 1), (1, 1)):
        inputs = case.inputs(rng, height, width)
        output = call(layer, inputs)
        shapes = keras.tree.map_structure(lambda x: x.shape, inputs)
        assert output.shape == tuple(layer.compute_output_shape(shapes)), (height, width)
        assert np.isfinite(output).all(), (height, width)


@with_cases
def test_unknown_sizes_in_a_graph_give_the_values_of_known_ones(case, rng):
    free, fixed = case.model(), case.model(height=7, width=10)
    randomize(free, rng)
    fixed.set_weights(free.get_weights())
    inputs = case.inputs(rng, 7, 10)
    assert free.output_shape[0] is None
    np.testing.assert_allclose(
        predict_unknown_sizes(free, inputs), call(fixed, inputs), rtol=1e-5, atol=1e-5
    )


@with_cases
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
def test_half_precision_with_large_activations(case, dtype, rng):
    inputs = case.inputs(rng, scale=1.0)
    inputs = keras.tree.map_structure(lambda x: x / np.abs(x).max() * 1e3, inputs)
    layer = case.make(dtype)
    output = call(layer, inputs)
    assert keras.backend.standardize_dtype(output.dtype) == layer.compute_dtype
    assert layer.compute_dtype == dtype.removeprefix("mixed_")
    assert np.isfinite(as_array(output)).all()


@with_cases
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_close_to_single(case, dtype, rng):
    half, single = case.model(dtype), case.model()
    randomize(single, rng)
    half.set_weights(single.get_weights())
    inputs = case.inputs(rng)
    want = as_array(call(single, inputs))
    got = as_array(call(half, inputs))
    tolerance = {"mixed_float16": 1e-2, "mixed_bfloat16": 6e-2}[dtype]
    np.testing.assert_allclose(got, want, atol=tolerance * max(1, np.abs(want).max()))


@with_cases
def test_config_round_trip(case):
    layer = case.make()
    config = layer.get_config()
    copy = type(layer).from_config(config)
    assert copy.get_config() == config


@with_cases
def test_file_round_trip(case, rng, tmp_path):
    model = case.model()
    randomize(model, rng)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    inputs = case.inputs(rng)
    np.testing.assert_array_equal(call(model, inputs), call(copy, inputs))


def parts(layer, prefix=""):
    """The sublayers with weights by their paths."""
    found = {}
    for child in layer._layers:
        if child.weights:
            found[prefix + child.name] = child
        found |= parts(child, f"{prefix}{child.name}/")
    return found


@pytest.mark.once
@with_cases
def test_what_is_frozen_stays_frozen_in_files_and_copies(case, tmp_path):
    model = case.model()
    layer = model.layers[-1]
    if not model.trainable_weights:
        pytest.skip("the layer has no weights")

    def assert_kept(layer):
        for kind in ("file", "copy"):
            if kind == "file":
                model.save(tmp_path / "model.keras")
                other = keras.saving.load_model(tmp_path / "model.keras")
            else:
                other = keras.models.clone_model(model)
            assert len(other.trainable_weights) == len(model.trainable_weights)
            want = {path: part.trainable for path, part in parts(layer).items()}
            got = parts(other.layers[-1])
            assert {path: part.trainable for path, part in got.items()} == want

    # One by one, as batch normalization often is, and the whole.
    chosen = [path for path in parts(layer) if path.endswith("norm")] or list(parts(layer))[:1]
    for path in chosen:
        parts(layer)[path].trainable = False
    assert len(model.trainable_weights) < len(case.model().trainable_weights) or not chosen
    assert_kept(layer)
    layer.trainable = False
    assert model.trainable_weights == []
    assert_kept(layer)


@with_cases
def test_every_sublayer_is_built_with_the_layer(case):
    layer = case.model().layers[-1]
    assert [part.name for part in layer._flatten_layers() if not part.built] == []


@pytest.mark.once
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@with_cases
def test_quantized_layers_load(case, rng, tmp_path):
    model = case.model()
    randomize(model, rng)
    inputs = case.inputs(rng)
    before = as_array(model(inputs))
    model.quantize("int8")
    want = as_array(model(inputs))
    np.testing.assert_allclose(want, before, atol=0.1 * max(1, np.abs(before).max()))
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(as_array(copy(inputs)), want)
    dtypes = [weight.dtype for weight in model.weights]
    assert [weight.dtype for weight in copy.weights] == dtypes
    dense = any(isinstance(part, keras.layers.Dense) for part in model._flatten_layers())
    assert ("int8" in dtypes) == dense


@pytest.mark.once
@with_cases
def test_a_layer_is_made_frozen(case, rng):
    config = {**case.make().get_config(), "trainable": False}
    layer = type(case.make()).from_config(config)
    layer(case.inputs(rng))
    assert not any(weight.trainable for weight in layer.weights)
    assert not any(part.trainable for part in parts(layer).values())


def test_unknown_sublayers_are_refused(rng):
    block = layers.ConvNormAct(4, frozen=["normalization"])
    with pytest.raises(ValueError, match=r"'normalization' is not a sublayer of .*'act', 'conv', "):
        block(np.zeros((1, 4, 4, 3), "float32"))


def product(directions, outputs):
    """A loss whose gradient is the same for all outputs, which need not be known."""
    return keras.ops.mean(directions * keras.ops.cast(outputs, "float32"))


@with_cases
@pytest.mark.parametrize("dtype", [None, "mixed_float16", "mixed_bfloat16"])
def test_finite_gradients_reach_every_weight(case, dtype, rng):
    model = case.model(dtype, height=6, width=9)
    if not model.trainable_weights:
        pytest.skip("the layer has no weights")
    randomize(model, rng)
    inputs = case.inputs(rng)
    shapes = keras.tree.map_structure(lambda x: x.shape, inputs)
    directions = rng.normal(size=model.compute_output_shape(shapes)).astype("float32")
    # One step of each layer is traced.
    eagerly = RUN_EAGERLY and dtype is not None
    try:
        changes = trained_step(model, inputs, directions, product, run_eagerly=eagerly)
    except RuntimeError as error:
        if "slow_conv2d" in str(error):
            pytest.skip("torch on a CPU has no float16 gradient of a convolution with one filter")
        raise
    assert all(np.isfinite(change).all() for change in changes.values())
    dead = [path for path, change in changes.items() if not np.abs(change).max() > 0]
    assert [path for path in dead if not path.endswith(case.idle)] == []
