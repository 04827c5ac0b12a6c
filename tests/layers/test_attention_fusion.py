import keras
import numpy as np
import pytest

from keras_segattn.flops import count_flops
from keras_segattn.layers import AttentionFusion
from tests import oracles
from tests.golden import assert_close, assign_fusion, load_golden
from tests.training import randomize, to_numpy


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("high_size", [(3, 5), (4, 5), (2, 3)])
def test_equals_the_equations(light, high_size, rng):
    layer = AttentionFusion(filters=5, light=light)
    low = rng.normal(size=(2, 7, 9, 4)).astype("float32")
    high = rng.normal(size=(2, *high_size, 6)).astype("float32")
    layer.build([low.shape, high.shape])
    randomize(layer, rng)
    got = layer([low, high], return_high=True)
    for ours, expected in zip(got, oracles.attention_fusion(layer, low, high), strict=True):
        np.testing.assert_allclose(to_numpy(ours), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(to_numpy(layer([low, high])), to_numpy(got[0]))


@pytest.mark.parametrize("name", ["afm_12_20_8_7x9", "afm_12_20_8_8x12", "afmlight_10_14_8_8x12"])
def test_equals_the_authors_code(name, shared):
    golden = load_golden(shared("golden", f"{name}.npz"))
    inputs = [golden["low_nhwc"], golden["high_nhwc"]]
    layer = AttentionFusion(filters=8, light=name.startswith("afmlight"))
    layer.build([x.shape for x in inputs])
    assign_fusion(layer, golden)
    fused, high = layer(inputs, return_high=True)
    assert_close(to_numpy(fused), golden["y_nhwc"])
    assert_close(to_numpy(high), golden["high_up_nhwc"])


def test_interpolation_is_that_of_the_argument(rng):
    low, high = rng.normal(size=(1, 6, 8, 4)), rng.normal(size=(1, 3, 4, 4))
    nearest_layer = AttentionFusion(4)
    bilinear_layer = AttentionFusion(4, interpolation="bilinear")
    for layer in (nearest_layer, bilinear_layer):
        layer.build([low.shape, high.shape])
    randomize(nearest_layer, rng)
    for ours, theirs in zip(bilinear_layer.weights, nearest_layer.weights, strict=True):
        ours.assign(theirs)
    _, blocks = nearest_layer([low, high], return_high=True)
    _, smooth = bilinear_layer([low, high], return_high=True)
    blocks, smooth = to_numpy(blocks), to_numpy(smooth)
    np.testing.assert_array_equal(blocks[:, ::2, ::2], blocks[:, 1::2, 1::2])
    assert np.abs(smooth[:, ::2, ::2] - smooth[:, 1::2, 1::2]).max() > 1e-2


def test_both_outputs_in_a_functional_model_of_unknown_size(rng):
    inputs = [keras.Input((None, None, 4)), keras.Input((None, None, 6))]
    outputs = AttentionFusion(5)(inputs, return_high=True)
    assert [output.shape for output in outputs] == [(None, None, None, 5)] * 2
    model = keras.Model(inputs, outputs)
    values = [rng.normal(size=(2, 7, 5, 4)), rng.normal(size=(2, 4, 3, 6))]
    assert [y.shape for y in model.predict(values, verbose=0)] == [(2, 7, 5, 5)] * 2
    assert len(keras.Model.from_config(model.get_config()).outputs) == 2


def test_published_operations():
    # Table 3: 1024x1024 images, ResNet-18. The projections are there without the module too.
    layer = AttentionFusion()
    layer.build([(None, 64, 64, 256), (None, 32, 32, 512)])
    added = count_flops(layer.mix, (64, 64, 640)) + count_flops(layer.weigh, (1, 1, 128))
    assert added == 335_560_704
    assert round(added / 1e9, 3) == 0.336


def test_refuses_an_unknown_interpolation():
    with pytest.raises(ValueError, match="cubic"):
        AttentionFusion(interpolation="cubic")
