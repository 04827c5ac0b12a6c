"""Properties that hold for every layer of boxes."""

import inspect

import keras
import numpy as np
import pytest

from keras_segattn import detection
from tests.detection.cases import CASES
from tests.training import to_numpy

with_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def test_every_public_layer_has_a_case():
    public = {name for name in detection.__all__ if inspect.isclass(getattr(detection, name))}
    assert {type(case.make()).__name__ for case in CASES} == public


def called(layer, inputs):
    return [to_numpy(x) for x in keras.tree.flatten(layer(*inputs))]


@with_cases
def test_shapes_and_dtypes_are_those_that_keras_is_told(case, rng):
    layer = case.make()
    for height, width in ((40, 56), (33, 35), (4, 5)):
        inputs = case.inputs(rng, height, width)
        specs = keras.tree.map_structure(lambda x: keras.KerasTensor(x.shape, x.dtype.name), inputs)
        expected = keras.tree.flatten(layer.compute_output_spec(*specs))
        for result, spec in zip(called(layer, inputs), expected, strict=True):
            assert (result.shape, result.dtype.name) == (spec.shape, spec.dtype)


@with_cases
def test_unknown_sizes_in_a_graph_give_the_values_of_known_ones(case, rng):
    inputs = case.inputs(rng, 40, 56)
    want = called(case.make(), inputs)
    model = case.model(inputs=inputs)
    # Keras does not know the batch either.
    got = model.predict(keras.tree.flatten(inputs), batch_size=1, verbose=0)
    for one, other in zip(keras.tree.flatten(got), want, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@with_cases
def test_file_round_trip(case, rng, tmp_path):
    inputs = case.inputs(rng, 20, 24)
    model = case.model(inputs=inputs)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    for layer, other in zip(model.layers, copy.layers, strict=True):
        assert other.get_config() == layer.get_config()
    flat = keras.tree.flatten(inputs)
    for one, other in zip(*(keras.tree.flatten(m(flat)) for m in (model, copy)), strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


@with_cases
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_positions(case, dtype, rng):
    # In float16, positions of 1,000 are half a pixel apart.
    inputs = case.inputs(rng, 40, 56)
    want = called(case.make(), inputs)
    layer = case.make(dtype)
    tolerance = {"mixed_float16": 5e-3, "mixed_bfloat16": 4e-2}[dtype]
    results = keras.tree.flatten(layer(*inputs))
    for result, other, kind in zip(results, want, case.dtypes, strict=True):
        kept = kind or layer.compute_dtype
        assert keras.backend.standardize_dtype(result.dtype) == kept
        result = to_numpy(keras.ops.cast(result, "float32"))
        atol = tolerance if kind is None else 1e-6
        np.testing.assert_allclose(result, other.astype("float32"), atol=atol)
