import numpy as np
import pytest

from keras_segattn.layers import PyramidPooling, ResizeLike
from tests.golden import assert_close
from tests.training import build, call, randomize


def cells(size, bins):
    """The first and last pixel of each cell, as PyTorch's adaptive pooling divides."""
    return [(i * size // bins, -(-(i + 1) * size // bins)) for i in range(bins)]


@pytest.mark.parametrize("size", [(6, 12), (5, 7), (3, 2), (1, 1)])
def test_agrees_with_the_equation(size, rng):
    layer = PyramidPooling(filters=3, bins=(1, 2, 6))
    x = rng.normal(size=(2, *size, 8)).astype("float32")
    build(layer, x)
    randomize(layer, rng)
    want = [x]
    for bins, projection in zip(layer.bins, layer.projections, strict=True):
        grid = np.empty((2, bins, bins, 8), "float32")
        for i, (top, bottom) in enumerate(cells(size[0], bins)):
            for j, (left, right) in enumerate(cells(size[1], bins)):
                grid[:, i, j] = x[:, top:bottom, left:right].mean(axis=(1, 2))
        level = call(projection, grid)
        want.append(call(ResizeLike(align_corners=True), [level, x]))
    assert_close(call(layer, x), np.concatenate(want, axis=-1))


def test_channels_are_divided_among_the_levels():
    assert PyramidPooling().compute_output_shape((None, 5, 7, 16)) == (None, 5, 7, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bins": ()}, r"`bins` must be one or more numbers from 1 up. Received: \(\)"),
        ({"bins": (0, 2)}, r"Received: \(0, 2\)"),
        ({"filters": 0}, "`filters` must be at least 1. Received: 0"),
    ],
)
def test_refusals_name_the_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        PyramidPooling(**arguments)
