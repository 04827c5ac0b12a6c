import numpy as np
import pytest

from keras_segattn.flops import count_flops
from keras_segattn.layers import ExpectationMaximizationAttention
from tests.golden import assert_close
from tests.training import randomize, to_numpy


def built(rng, shape=(2, 4, 5, 6), **arguments):
    layer = ExpectationMaximizationAttention(bases=3, **arguments)
    x = rng.normal(size=shape).astype("float32")
    layer(x)
    bases = to_numpy(layer.initial_bases)
    randomize(layer, rng)
    layer.initial_bases.assign(bases)
    return layer, x


def expected(layer, x):
    """The equations of the docstring, image by image; also the bases that it ends with."""
    kernel, bias = to_numpy(layer.project.kernel)[0, 0], to_numpy(layer.project.bias)
    features = (x @ kernel + bias).reshape(len(x), -1, x.shape[-1]).astype("float64")
    scores, rebuilt, ends = [], [], []
    for image in features:
        bases = to_numpy(layer.initial_bases).astype("float64")
        for _ in range(layer.iterations):
            z = np.exp(image @ bases.T)
            z /= z.sum(axis=1, keepdims=True)
            bases = np.stack([z[:, k] @ image / z[:, k].sum() for k in range(len(bases))])
            bases /= np.linalg.norm(bases, axis=1, keepdims=True)
        scores.append(z)
        rebuilt.append(np.maximum(z @ bases, 0))
        ends.append(bases)
    rebuilt = np.stack(rebuilt).reshape(x.shape).astype("float32")
    y = np.maximum(x + to_numpy(layer.rebuild(rebuilt)), 0)
    return y, np.stack(scores).reshape(*x.shape[:3], -1), np.mean(ends, axis=0)


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("shape", [(2, 4, 5, 6), (1, 1, 1, 6)])
def test_agrees_with_the_equation(iterations, shape, rng):
    layer, x = built(rng, shape, iterations=iterations)
    y, scores = layer(x, return_attention_scores=True)
    want_y, want_scores, _ = expected(layer, x)
    assert_close(y, want_y)
    assert_close(scores, want_scores)


def test_training_moves_the_initial_bases(rng):
    layer, x = built(rng, momentum=0.75)
    before = to_numpy(layer.initial_bases)
    _, _, ends = expected(layer, x)
    layer(x, training=True)
    assert_close(layer.initial_bases, 0.75 * before + 0.25 * ends)
    layer.trainable = False
    after = to_numpy(layer.initial_bases)
    layer(x, training=True)
    np.testing.assert_array_equal(to_numpy(layer.initial_bases), after)


def test_maps_of_the_bases_sum_to_one_at_every_pixel(rng):
    layer, x = built(rng)
    maps = layer.attention(x)
    assert list(maps) == ["base 0", "base 1", "base 2"]
    assert_close(sum(to_numpy(map) for map in maps.values()), np.ones((2, 4, 5)))


@pytest.mark.once
def test_operations_of_attanets_table_3():
    layer = ExpectationMaximizationAttention()
    layer.build((None, 64, 64, 128))
    giga = count_flops(layer, (64, 64, 128)) / 1e9
    rebuilding = 64 * 64 * 128 * 64 / 1e9
    assert round(giga, 3) == 0.369
    assert round(giga - rebuilding, 4) == 0.3355  # the paper: 0.335


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bases": 0}, "`bases` must be at least 1. Received: 0"),
        ({"iterations": 0}, "`iterations` must be at least 1. Received: 0"),
        ({"momentum": 2}, "`momentum` must be from 0 to 1. Received: 2"),
    ],
)
def test_refusals_name_the_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        ExpectationMaximizationAttention(**arguments)
