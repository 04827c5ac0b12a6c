"""Convolution blocks and gates against NumPy written from their equations."""

import keras
import numpy as np
import pytest

from keras_segattn import layers
from tests import oracles
from tests.layers.cases import as_array
from tests.training import randomize


def check(layer, inputs, expected, rng):
    layer(inputs)
    randomize(layer, rng)
    want = expected(oracles.weights_of(layer))
    np.testing.assert_allclose(
        as_array(layer(inputs)), want, atol=1e-4 * max(1, np.abs(want).max())
    )


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (7, 2, 1), (3, 1, 2)])
def test_conv_norm_act(kernel, stride, dilation, rng):
    x = rng.normal(size=(1, 8, 11, 3)).astype("float32")
    layer = layers.ConvNormAct(4, kernel, strides=stride, dilations=dilation, name="block")
    check(
        layer,
        x,
        lambda w: oracles.relu(
            oracles.batch_norm(oracles.conv2d(x, w["conv/kernel"], stride, dilation), layer.norm)
        ),
        rng,
    )


@pytest.mark.parametrize("size", [(8, 10), (9, 12), (7, 7)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_asymmetric_padding_is_that_of_tensorflow_for_even_sizes(kernel, size, rng):
    """Kernels lie one pixel later than with symmetric padding, in maps of odd sizes too."""
    x = rng.normal(size=(1, *size, 3)).astype("float32")
    layer = layers.ConvNormAct(
        4, kernel, strides=2, padding="asymmetric", epsilon=1e-3, name="block"
    )

    def expected(w):
        # The oracle pads both sides by half of the kernel.
        padded = np.pad(x, [(0, 0), *((0, 4) for _ in size), (0, 0)])
        rows, columns = (-(-n // 2) for n in size)
        y = oracles.conv2d(padded, w["conv/kernel"])[:, 1::2, 1::2][:, :rows, :columns]
        return oracles.relu(oracles.batch_norm(y, layer.norm, 1e-3))

    check(layer, x, expected, rng)
    if size == (8, 10):
        plain = keras.layers.Conv2D(4, kernel, strides=2, padding="same", use_bias=False)
        plain.build(x.shape)
        plain.set_weights([as_array(layer.conv.kernel)])
        got, want = (as_array(y) for y in (layer.conv(layer.pad(x)), plain(x)))
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_depthwise_conv_norm_act(rng):
    x = rng.normal(size=(1, 8, 11, 3)).astype("float32")
    layer = layers.DepthwiseConvNormAct(strides=2, activation="relu6", name="block")

    def expected(w):
        y = [
            oracles.conv2d(x[..., c : c + 1], w["conv/kernel"][:, :, c : c + 1], stride=2)
            for c in range(3)
        ]
        return np.clip(oracles.batch_norm(np.concatenate(y, axis=-1), layer.norm), 0, 6)

    check(layer, x, expected, rng)


@pytest.mark.parametrize(("height", "width"), [(9, 12), (10, 11), (11, 13)])
def test_deconv_reaches_every_size_and_stays_in_place(height, width, rng):
    """Pixel i of the coarse map contributes to 2i - 1, 2i, 2i + 1; one more for size 2n + 1."""
    x = rng.normal(size=(1, 5, 6, 3)).astype("float32")
    reference = np.zeros((1, height, width, 1), "float32")
    layer = layers.DeconvNormAct(4, name="block")

    def expected(w):
        kernel = w["deconv/kernel"]  # (3, 3, filters, channels)
        full = np.zeros((1, 11, 13, 4))
        for i in range(5):
            for j in range(6):
                full[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum(
                    "bc,klfc->bklf", x[:, i, j], kernel
                )
        top, left = int(height < 11), int(width < 13)
        cropped = full[:, top : top + height, left : left + width]
        return oracles.relu(oracles.batch_norm(cropped, layer.norm))

    check(layer, [x, reference], expected, rng)


def test_spatial_gate_of_cbam(rng):
    x = rng.normal(size=(2, 5, 6, 3)).astype("float32")
    layer = layers.SpatialGate(kernel_size=7, squeeze=True, name="gate")

    def expected(w):
        pooled = np.stack([x.max(-1), x.mean(-1)], axis=-1)
        return oracles.sigmoid(oracles.conv2d(pooled, w["conv/kernel"]) + w["conv/bias"])

    check(layer, x, expected, rng)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_channel_gate_of_cbam(activation, rng):
    x = rng.normal(size=(2, 5, 6, 8)).astype("float32")
    layer = layers.ChannelGate(reduction=4, activation=activation, name="gate")

    def expected(w):
        def shared(vector):
            hidden = oracles.relu(vector @ w["squeeze/kernel"] + w["squeeze/bias"])
            return hidden @ w["excite/kernel"] + w["excite/bias"]

        energy = shared(x.mean((1, 2))) + shared(x.max((1, 2)))
        return (oracles.sigmoid(energy) if activation else energy)[:, None, None]

    check(layer, x, expected, rng)


def test_refusals_name_the_value():
    with pytest.raises(ValueError, match=r"odd.*Received: 4"):
        layers.ConvNormAct(8, kernel_size=4)
    with pytest.raises(ValueError, match=r"`padding` must be one of .*Received: 'valid'"):
        layers.ConvNormAct(8, padding="valid")
    with pytest.raises(ValueError, match="reduction=16"):
        layers.ChannelGate(reduction=16)(keras.Input((4, 4, 8)))
    with pytest.raises(ValueError, match="height 4 reaches 7 to 9, not the reference's 6"):
        layers.DeconvNormAct(8)([keras.Input((4, 4, 8)), keras.Input((6, 8, 8))])
