import keras
import numpy as np
import pytest
from keras import ops

from keras_segattn.flops import count_flops
from keras_segattn.layers import CrissCrossAttention, NonLocal
from tests import oracles
from tests.golden import assert_close, assign_conv, feature_map, load_golden
from tests.training import call, randomize, to_numpy, trained_step

GOLDEN = ("cca_C16_5x7", "cca_C16_7x5", "cca_C16_9x9", "cca_C16_1x6")


def built(rng, recurrence=2, shape=(2, 4, 5, 8), reduction=4):
    layer = CrissCrossAttention(recurrence, reduction)
    x = rng.normal(size=shape).astype("float32")
    layer(x)
    randomize(layer, rng)
    return layer, x


@pytest.mark.parametrize("shape", [(2, 4, 5, 8), (1, 1, 5, 8), (1, 4, 1, 8), (1, 1, 1, 8)])
@pytest.mark.parametrize("recurrence", [1, 2, 3])
def test_agrees_with_the_equations(recurrence, shape, rng):
    layer, x = built(rng, recurrence, shape)
    y, scores = call(layer, x, return_attention_scores=True)
    want_y, want_scores = oracles.criss_cross_attention(layer, x)
    assert_close(y, want_y)
    assert_close(scores, want_scores)


@pytest.mark.parametrize("layer_class", [CrissCrossAttention, NonLocal])
def test_without_gamma_the_context_is_added_as_it_is(layer_class, rng):
    """Equation 2 to the letter is the layer with a gamma of one."""
    scaled, plain = layer_class(reduction=4), layer_class(reduction=4, use_gamma=False)
    x = rng.normal(size=(2, 4, 5, 8)).astype("float32")
    for layer in (scaled, plain):
        layer(x)
    randomize(scaled, rng)
    scaled.gamma.assign([1.0])
    plain.set_weights(
        [
            w
            for w, v in zip(scaled.get_weights(), scaled.weights, strict=True)
            if v is not scaled.gamma
        ]
    )
    assert_close(plain(x), to_numpy(scaled(x)))


def with_golden_weights(golden, recurrence):
    layer = CrissCrossAttention(recurrence, name="attention")
    layer.build(feature_map(golden, "x").shape)
    for name in ("query", "key", "value"):
        assign_conv(getattr(layer, name), golden, f"{name}_conv")
    layer.gamma.assign(golden["w/gamma"])
    return layer


@pytest.mark.parametrize("name", GOLDEN)
def test_agrees_with_the_code_of_the_authors(name, shared):
    golden = load_golden(shared("golden", f"{name}.npz"))
    for recurrence in (1, 2, 3):
        layer = with_golden_weights(golden, recurrence)
        y, scores = layer(feature_map(golden, "x"), return_attention_scores=True)
        assert_close(y, feature_map(golden, f"y_r{recurrence}"))
        if recurrence < 3:
            assert_close(scores, golden[f"attn_r{recurrence}"])


def test_gradients_are_those_of_the_code_of_the_authors(shared):
    golden = load_golden(shared("golden", "cca_C16_5x7.npz"))
    layer = with_golden_weights(golden, recurrence=2)
    x = keras.Input((5, 7, 16))
    changes = trained_step(
        keras.Model(x, layer(x)),
        feature_map(golden, "x"),
        feature_map(golden, "cot_y_r2"),
        loss=lambda cotangent, y: ops.sum(y * cotangent),
    )
    for name in ("query", "key", "value"):
        kernel = np.transpose(golden[f"g/{name}_conv.weight"][..., 0, 0])
        assert_close(-changes[f"attention/{name}/kernel"], kernel)
        assert_close(-changes[f"attention/{name}/bias"], golden[f"g/{name}_conv.bias"])
    assert_close(-changes["attention/gamma"], golden["g/gamma"])


@pytest.mark.parametrize("scale", [1, 1e4])
def test_scores_sum_to_one_and_count_the_pixel_itself_once(scale, rng):
    layer, x = built(rng)
    # Keys opposite to nearly equal queries: every energy is far below zero.
    x = scale * (1 + 0.1 * x)
    layer.key.kernel.assign(-layer.query.kernel)
    _, scores = layer(x, return_attention_scores=True)
    scores = to_numpy(scores)
    np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-5)
    for row in range(x.shape[1]):
        assert not scores[:, row, :, row].any()


def test_untrained_layer_is_the_identity(rng):
    x = rng.normal(size=(2, 4, 5, 8)).astype("float32")
    np.testing.assert_array_equal(to_numpy(CrissCrossAttention()(x)), x)


@pytest.mark.parametrize("recurrence", [1, 2])
def test_two_loops_reach_the_whole_map(recurrence, rng):
    """Section 3.3: one loop carries a pixel along its row and column, two everywhere."""
    layer, x = built(rng, recurrence, shape=(1, 4, 5, 8))
    changed = x.copy()
    changed[0, 1, 2] += 1
    reached = np.abs(to_numpy(layer(changed)) - to_numpy(layer(x))).max(-1)[0] > 1e-6
    path = np.zeros((4, 5), bool)
    path[1], path[:, 2] = True, True
    np.testing.assert_array_equal(reached, path if recurrence == 1 else np.ones_like(path))


def test_scores_of_a_functional_model_of_unknown_size(rng):
    layer, x = built(rng)
    inputs = keras.Input((None, None, 8))
    model = keras.Model(inputs, layer(inputs, return_attention_scores=True))
    assert model.output_shape == [(None, None, None, 8), (None, None, None, None)]
    for got, want in zip(
        model.predict(x, verbose=0), oracles.criss_cross_attention(layer, x), strict=True
    ):
        assert_close(got, want)
    sized = keras.Input((4, 5, 8), dtype="float16")
    _, scores = CrissCrossAttention(dtype="float16")(sized, return_attention_scores=True)
    assert scores.shape == (None, 4, 5, 9)
    assert scores.dtype == "float32"


@pytest.mark.tensorflow
def test_mask_does_not_grow_with_batch_and_width():
    import tensorflow as tf

    graph = tf.function(CrissCrossAttention()).get_concrete_function(tf.zeros((2, 4, 5, 8))).graph
    masks = [t.shape for op in graph.get_operations() for t in op.outputs if t.dtype == tf.bool]
    assert masks
    assert all(shape.rank <= 2 for shape in masks)


def test_parameters_and_flops_of_table_3():
    for recurrence, giga in ((1, 8.26), (2, 16.52), (3, 24.775)):
        layer = CrissCrossAttention(recurrence)
        layer.build((None, None, None, 512))
        assert layer.count_params() == 328_321
        assert count_flops(layer, (97, 97, 512), "ccnet") / 1e9 == pytest.approx(giga, abs=0.005)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"`recurrence` must be at least 1.*Received: 0"):
        CrissCrossAttention(recurrence=0)
    with pytest.raises(ValueError, match=r"between 1 and 4, the channels.*reduction=8"):
        CrissCrossAttention()(keras.Input((None, None, 4)))
