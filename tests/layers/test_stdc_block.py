import numpy as np
import pytest

from keras_segattn.layers import STDCBlock
from tests import golden
from tests.layers.cases import as_array
from tests.oracles import conv_norm_act
from tests.training import randomize


def average_pool(x):
    """The mean of 3x3 pixels at every second one, zeros around the map included."""
    height, width = x.shape[:2]
    y = np.zeros((-(-height // 2), -(-width // 2), x.shape[2]))
    for i, j in np.ndindex(y.shape[:2]):
        for row in range(2 * i - 1, 2 * i + 2):
            for column in range(2 * j - 1, 2 * j + 2):
                if 0 <= row < height and 0 <= column < width:
                    y[i, j] += x[row, column] / 9
    return y


def block(layer, x):
    y = conv_norm_act(layer.blocks[0], x)
    parts = [y]
    if layer.strides == 2:
        y = conv_norm_act(layer.downsample, y)
        parts = [average_pool(parts[0]) if layer.mode == "cat" else y]
    for conv in layer.blocks[1:]:
        y = conv_norm_act(conv, y)
        parts.append(y)
    y = np.concatenate(parts, axis=-1)
    if layer.mode == "cat":
        return y
    if layer.strides == 2:
        x = conv_norm_act(layer.skip_pointwise, conv_norm_act(layer.skip_depthwise, x))
    return y + x


@pytest.mark.parametrize("size", [(6, 9), (5, 4), (1, 1)])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("mode", ["cat", "add"])
def test_equations(mode, strides, size, rng):
    layer = STDCBlock(16, strides=strides, convs=3, mode=mode)
    x = rng.normal(size=(1, *size, 16)).astype("float32")
    layer.build(x.shape)
    randomize(layer, rng)
    want = block(layer, x[0])
    got = as_array(layer(x))[0]
    np.testing.assert_allclose(got, want, atol=1e-4 * max(1, np.abs(want).max()))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("stdc_cat_s1_n4_32to32_7x10", {}),
        ("stdc_cat_s2_n4_16to32_9x12", {"strides": 2}),
        ("stdc_cat_s2_n3_24to48_8x8", {"strides": 2, "convs": 3}),
        ("stdc_add_s1_n4_32to32_6x9", {"mode": "add"}),
        ("stdc_add_s2_n4_16to32_8x11", {"mode": "add", "strides": 2}),
    ],
)
def test_reference(name, arguments, shared):
    arrays = golden.load_golden(shared("golden", f"{name}.npz"))
    x, y = golden.feature_map(arrays, "x"), golden.feature_map(arrays, "y")
    layer = STDCBlock(y.shape[-1], **arguments)
    layer.build(x.shape)
    golden.assign_stdc_block(layer, arrays)
    assert layer.count_params() == golden.count_weights(arrays)
    golden.assert_close(layer(x), y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strides": 3}, "`strides` must be 1 or 2"),
        ({"convs": 1}, "`convs` must be at least 2"),
        ({"filters": 12}, "multiple of 8"),
        ({"mode": "sum"}, "must be one of"),
        ({"keep_size": True}, "replaces a stride. Received: strides=1"),
        ({"strides": 2, "dilations": 2}, "Received: strides=2, dilations=2"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        STDCBlock(**{"filters": 16, **arguments})


def test_refuses_to_add_other_channels():
    with pytest.raises(ValueError, match="filters=16"):
        STDCBlock(16, mode="add").build((None, 6, 9, 8))
