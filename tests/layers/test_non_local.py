import numpy as np
import pytest

from keras_segattn.flops import count_flops
from keras_segattn.layers import CrissCrossAttention, NonLocal
from tests.golden import assert_close
from tests.training import randomize, to_numpy


def built(rng, shape):
    layer = NonLocal(reduction=4)
    x = rng.normal(size=shape).astype("float32")
    layer(x)
    randomize(layer, rng)
    return layer, x


def expected(layer, x):
    """The equation of the docstring, pixel by pixel."""
    x = x.astype("float64")
    batch, height, width, _ = x.shape
    query, key, value = (
        x @ to_numpy(conv.kernel).astype("float64") + to_numpy(conv.bias)
        for conv in (layer.query, layer.key, layer.value)
    )
    y, scores = np.empty_like(x), np.empty((batch, height, width, height * width))
    for b, i, j in np.ndindex(batch, height, width):
        pixels = list(np.ndindex(height, width))
        energy = np.array([query[b, i, j] @ key[b, r, c] for r, c in pixels])
        attention = np.exp(energy - energy.max())
        attention /= attention.sum()
        context = sum(a * value[b, r, c] for a, (r, c) in zip(attention, pixels, strict=True))
        y[b, i, j] = x[b, i, j] + to_numpy(layer.gamma)[0] * context
        scores[b, i, j] = attention
    return y, scores


@pytest.mark.parametrize("shape", [(2, 4, 5, 8), (1, 1, 5, 8), (1, 4, 1, 8), (1, 1, 1, 8)])
def test_agrees_with_the_equation(shape, rng):
    layer, x = built(rng, shape)
    y, scores = layer(x, return_attention_scores=True)
    want_y, want_scores = expected(layer, x)
    assert_close(y, want_y)
    assert_close(scores, want_scores)


@pytest.mark.parametrize("shape", [(2, 1, 6, 8), (2, 6, 1, 8)])
def test_on_a_single_line_it_is_criss_cross_attention(shape, rng):
    layer, x = built(rng, shape)
    once = CrissCrossAttention(recurrence=1, reduction=4)
    once.build(shape)
    once.set_weights(layer.get_weights())
    assert_close(layer(x), to_numpy(once(x)))


def test_flops_of_table_5():
    dense, sparse = NonLocal(), CrissCrossAttention(recurrence=2)
    for layer in (dense, sparse):
        layer.build((None, None, None, 512))
    assert dense.count_params() == sparse.count_params()
    flops = count_flops(dense, (97, 97, 512), "ccnet")
    assert flops / 1e9 == pytest.approx(108.15, abs=0.005)
    # "significantly reduces FLOPs by about 85 %"
    assert 1 - count_flops(sparse, (97, 97, 512), "ccnet") / flops == pytest.approx(0.847, abs=5e-4)
