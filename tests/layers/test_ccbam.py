import keras
import numpy as np
import pytest

from keras_segattn.layers import CCBAM, ChannelGate, SpatialGate
from tests import golden
from tests.layers.cases import as_array
from tests.oracles import channel_attention, spatial_attention
from tests.training import randomize


def equation_2(layer, high, low, literal):
    c_high = channel_attention(layer.channel_high, high, literal)
    c_low = channel_attention(layer.channel_low, low, literal)
    f_high = low * c_high
    f_low = high * c_low
    s_high = spatial_attention(layer.spatial_high, f_high)
    s_low = spatial_attention(layer.spatial_low, f_low)
    return f_low * s_high + f_high * s_low


@pytest.mark.parametrize("kernel_size", [1, 7])
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_equations(activation, kernel_size, rng):
    layer = CCBAM(4, channel_activation=activation, spatial_kernel_size=kernel_size)
    high, low = rng.normal(size=(2, 2, 5, 7, 8)).astype("float32")
    layer.build([high.shape, low.shape])
    randomize(layer, rng)
    got = as_array(layer([high, low]))
    for i in range(2):
        want = equation_2(layer, high[i], low[i], literal=activation is None)
        np.testing.assert_allclose(got[i], want, atol=1e-4 * max(1, np.abs(want).max()))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ccbam_C32_r16_6x9_sig", {}),
        ("ccbam_C32_r16_7x4_sig_nobias_k7", {"spatial_kernel_size": 7}),
        ("ccbam_C16_r4_5x5_nosig", {"reduction": 4, "channel_activation": None}),
    ],
)
def test_reference(name, arguments, shared):
    arrays = golden.load_golden(shared("golden", f"{name}.npz"))
    high, low, f_high, f_low = (
        golden.feature_map(arrays, key) for key in ("high", "low", "F_high", "F_low")
    )
    layer = CCBAM(**arguments)
    layer.build([high.shape, low.shape])
    for side in ("high", "low"):
        channel, spatial = getattr(layer, f"channel_{side}"), getattr(layer, f"spatial_{side}")
        golden.assign_conv(channel.squeeze, arrays, f"ca_{side}.fc1")
        golden.assign_conv(channel.excite, arrays, f"ca_{side}.fc2")
        golden.assign_conv(spatial.conv, arrays, f"sa_{side}.conv")
    for got, want in (
        (layer.channel_high(high), "C_high"),
        (layer.channel_low(low), "C_low"),
        (layer.spatial_high(f_high), "S_high"),
        (layer.spatial_low(f_low), "S_low"),
        (layer([high, low]), "y"),
    ):
        golden.assert_close(got, golden.feature_map(arrays, want))


@pytest.mark.parametrize(
    ("layer", "inputs", "parameters"),
    [
        (CCBAM(), 2, {128: 4_374, 256: 16_934, 512: 66_630}),
        (ChannelGate(reduction=16), 1, {256: 8_464}),
        (SpatialGate(kernel_size=1, squeeze=True), 1, {256: 3}),
    ],
)
def test_parameters_of_the_paper(layer, inputs, parameters):
    for channels, count in parameters.items():
        copy = type(layer).from_config(layer.get_config())
        shape = (None, None, None, channels)
        copy.build([shape, shape] if inputs == 2 else shape)
        assert copy.count_params() == count


@pytest.mark.parametrize("activation", ["sigmoid", None])
@pytest.mark.parametrize("dtype", ["float16", "mixed_float16"])
def test_many_large_channels_in_float16(dtype, activation, rng):
    # Sums over 256 channels of 1e3 leave the range of float16, and so do products of three maps.
    layer = CCBAM(channel_activation=activation, dtype=dtype)
    # Zeros, as a ReLU leaves them, show an infinite gate.
    maps = np.maximum(rng.uniform(-200, 1e3, (2, 1, 8, 16, 256)), 0).astype("float16")
    layer.build([maps[0].shape, maps[1].shape])
    for weight in layer.weights:
        weight.assign(rng.normal(0, 2, weight.shape))
    assert np.isfinite(as_array(keras.ops.cast(layer(list(maps)), "float32"))).all()
    for gate in (layer.channel_high, layer.channel_low):
        gate.squeeze.kernel.assign(np.ones(gate.squeeze.kernel.shape))
    assert np.isfinite(as_array(keras.ops.cast(layer(list(maps)), "float32"))).all()


@pytest.mark.parametrize(
    ("high", "low"), [((2, 5, 7, 8), (2, 10, 14, 8)), ((2, 5, 7, 8), (2, 5, 7, 16))]
)
def test_refuses_maps_that_differ(high, low):
    with pytest.raises(ValueError, match="same height, width and channels"):
        CCBAM(4).build([high, low])


def test_refuses_too_large_a_reduction():
    with pytest.raises(ValueError, match="reduction=16"):
        CCBAM().build([(2, 5, 7, 8), (2, 5, 7, 8)])
