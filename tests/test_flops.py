import keras
import pytest

from keras_segattn.flops import count_flops

LAYERS = keras.layers
# Layer, and per convention its operations on a map of 8x10 with 4 channels, by hand.
CASES = [
    (lambda: LAYERS.Conv2D(6, 3, padding="same"), 80 * 6 * 36, 80 * 6 * 37),
    (lambda: LAYERS.DepthwiseConv2D(3, padding="same", use_bias=False), 80 * 36, 80 * 36),
    (lambda: LAYERS.Conv2DTranspose(6, 3, strides=2), 80 * 36 * 6, 0),
    (lambda: LAYERS.Dense(5), 80 * 4 * 5, 80 * 5 * 5),
    (lambda: LAYERS.BatchNormalization(), 0, 2 * 320),
    (lambda: LAYERS.ReLU(), 0, 320),
    (lambda: LAYERS.Activation("sigmoid"), 0, 0),
    (lambda: LAYERS.MaxPooling2D(2), 0, 320),
]


@pytest.mark.parametrize(("make", "macs", "canet"), CASES)
def test_operations_by_hand(make, macs, canet):
    layer = make()
    layer.build((None, 8, 10, 4))
    assert count_flops(layer, (8, 10, 4)) == macs
    assert count_flops(layer, (8, 10, 4), "canet") == canet
    assert count_flops(layer, (8, 10, 4), "ccnet") == 2 * macs
    if isinstance(layer, LAYERS.BatchNormalization):
        assert count_flops(layer, (8, 10, 4), "cross_cbam") == 0


def test_what_is_not_counted_is_refused():
    layer = LAYERS.SeparableConv2D(4, 3, name="separable")
    layer.build((None, 8, 10, 4))
    with pytest.raises(ValueError, match="'separable' is a SeparableConv2D"):
        count_flops(layer, (8, 10, 4))
    with pytest.raises(ValueError, match="Received: 'gflops'"):
        count_flops(layer, (8, 10, 4), "gflops")
