import keras
import numpy as np
import pytest

from keras_segattn.flops import count_flops
from keras_segattn.layers import StripAttention
from tests import oracles
from tests.golden import assert_close, assign_block, assign_conv, load_golden
from tests.training import call, randomize, to_numpy

SAM = ["sam_C12_q4_1x7", "sam_C16_q8_6x10", "sam_C16_q8_9x5"]


@pytest.mark.parametrize("orientation", ["vertical", "horizontal"])
@pytest.mark.parametrize(("height", "width"), [(4, 7), (5, 3), (1, 6), (6, 1)])
def test_equals_the_equations(orientation, height, width, rng):
    layer = StripAttention(key_filters=6, orientation=orientation)
    x = rng.normal(size=(2, height, width, 4)).astype("float32")
    layer.build(x.shape)
    randomize(layer, rng)
    y, scores = call(layer, x, return_attention_scores=True)
    expected_y, expected_scores = oracles.strip_attention(layer, x)
    np.testing.assert_allclose(y, expected_y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(scores.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", SAM)
def test_equals_the_authors_code(name, shared):
    golden = load_golden(shared("golden", f"{name}.npz"))
    x = golden["x_nhwc"]
    for orientation, expected in (("vertical", "y_nhwc"), ("horizontal", "y_horizontal_nhwc")):
        layer = StripAttention(
            key_filters=golden["w/conv1.conv.weight"].shape[0], orientation=orientation
        )
        layer.build(x.shape)
        for ours, theirs in (("key", "conv1"), ("query", "conv2"), ("value", "conv3")):
            assign_block(getattr(layer, ours), golden, f"{theirs}.conv", f"{theirs}.bn")
        y, scores = call(layer, x, return_attention_scores=True)
        assert_close(y, golden[expected])
        if orientation == "vertical":
            batch, height, width, _ = x.shape
            attention = golden["attn"].transpose(0, 2, 1).reshape(batch, height, width, width)
            assert_close(scores, attention)


def test_plain_projections_are_those_of_the_text(shared):
    golden = load_golden(shared("golden", "sampaper_C16_q8_6x10.npz"))
    layer = StripAttention(key_filters=8, normalize=False)
    layer.build(golden["x_nhwc"].shape)
    for name in ("query", "key", "value"):
        assign_conv(getattr(layer, name), golden, name)
    # The reference has a bias of the keys; softmax undoes it, so that ours has none.
    assert np.abs(golden["w/key.bias"]).max() > 0
    assert_close(call(layer, golden["x_nhwc"]), golden["y_nhwc"])


def test_scores_are_float32_and_sum_to_one_in_half_precision(rng):
    layer = StripAttention(key_filters=64, dtype="mixed_float16")
    x = (1e3 * rng.normal(size=(1, 6, 200, 8))).astype("float32")
    y, scores = layer(x, return_attention_scores=True)
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    assert np.isfinite(to_numpy(y)).all()
    np.testing.assert_allclose(to_numpy(scores).sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("orientation", ["vertical", "horizontal"])
def test_scores_in_a_functional_model_of_unknown_size(orientation, rng):
    inputs = keras.Input((None, None, 4))
    outputs = StripAttention(6, orientation=orientation)(inputs, return_attention_scores=True)
    assert [output.shape for output in outputs] == [(None, None, None, 4), (None,) * 4]
    model = keras.Model(inputs, outputs)
    y, scores = model.predict(rng.normal(size=(2, 3, 5, 4)).astype("float32"), verbose=0)
    assert y.shape == (2, 3, 5, 4)
    assert scores.shape == (2, 3, 5, {"vertical": 5, "horizontal": 3}[orientation])
    copy = keras.Model.from_config(model.get_config())
    assert len(copy.outputs) == 2


def test_published_operations():
    # Table 3: 1024x1024 images, so a 64x64 map of 128 channels.
    layer = StripAttention(key_filters=64)
    layer.build((None, None, None, 128))
    assert count_flops(layer, (64, 64, 128)) == 184_549_376
    assert round(184_549_376 / 1e9, 3) == 0.185


def test_operations_follow_the_number_of_strips():
    counts = {}
    for orientation in ("vertical", "horizontal"):
        layer = StripAttention(key_filters=6, orientation=orientation)
        layer.build((None, None, None, 4))
        counts[orientation] = count_flops(layer, (5, 9, 4)) - 5 * 9 * 4 * (6 + 6 + 4)
    assert counts == {"vertical": 5 * 9 * 9 * (6 + 4), "horizontal": 5 * 9 * 5 * (6 + 4)}


@pytest.mark.parametrize(
    "arguments", [{"orientation": "diagonal"}, {"orientation": 1}, {"key_filters": 0}]
)
def test_refuses_bad_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        StripAttention(**arguments)
