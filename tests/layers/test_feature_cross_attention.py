import keras
import numpy as np
import pytest

from keras_segattn.layers import FeatureCrossAttention
from keras_segattn.layers.feature_cross_attention import ORDERS
from tests import oracles
from tests.layers.cases import as_array
from tests.training import randomize


def built(order, rng, filters=4):
    layer = FeatureCrossAttention(filters=filters, order=order, name="fca")
    spatial = rng.normal(size=(2, 5, 7, 3)).astype("float32")
    context = rng.normal(size=(2, 5, 7, filters)).astype("float32")
    layer([spatial, context])
    randomize(layer, rng)
    return layer, spatial, context


def expected(layer, spatial, context):
    """Section 3.2 of the paper, sentence by sentence."""
    w = oracles.weights_of(layer)
    fused = np.concatenate([spatial, context], axis=-1)
    fused = oracles.conv2d(fused, w["fuse/conv/kernel"])
    fused = oracles.relu(oracles.batch_norm(fused, layer.fuse.norm))

    where = oracles.conv2d(spatial, w["spatial_gate/conv/kernel"])
    where = oracles.sigmoid(oracles.batch_norm(where, layer.spatial_gate.norm))
    vectors = [context.mean(axis=(1, 2)), context.max(axis=(1, 2))]
    if layer.order == "spatial":
        attended = fused * where
    else:
        kernel, bias = w["channel_gate/excite/kernel"], w["channel_gate/excite/bias"]
        what = oracles.sigmoid(sum(vector @ kernel + bias for vector in vectors))[:, None, None]
        attended = {
            "spatial_channel": (fused * where) * what,
            "channel_spatial": (fused * what) * where,
            "parallel": fused * where + fused * what,
        }[layer.order]
    y = oracles.conv2d(attended + fused, w["project/conv/kernel"])
    return oracles.relu(oracles.batch_norm(y, layer.project.norm))


@pytest.mark.parametrize("order", ORDERS)
def test_agrees_with_the_equations(order, rng):
    layer, spatial, context = built(order, rng)
    want = expected(layer, spatial, context)
    assert want.std() > 0.1
    np.testing.assert_allclose(
        as_array(layer([spatial, context])), want, atol=1e-4 * max(1, np.abs(want).max())
    )


def test_sequential_orders_are_one_function(rng):
    """Neither gate reads the fused map, so the products commute (see the docstring)."""
    first, spatial, context = built("spatial_channel", rng)
    second, _, _ = built("channel_spatial", rng)
    second.set_weights(first.get_weights())
    np.testing.assert_allclose(
        as_array(first([spatial, context])),
        as_array(second([spatial, context])),
        rtol=1e-4,
        atol=1e-5,
    )


def test_parameters_at_the_width_of_the_paper():
    layer = FeatureCrossAttention(256)
    layer.build([(None, None, None, 256), (None, None, None, 256)])
    assert sum(np.prod(weight.shape) for weight in layer.trainable_weights) == 1_838_594


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"must be one of .*Received: 'both'"):
        FeatureCrossAttention(order="both")
    symbol = keras.Input
    with pytest.raises(ValueError, match=r"same height and width.*\(None, 8, 8, 3\)"):
        FeatureCrossAttention(4)([symbol((8, 8, 3)), symbol((4, 8, 4))])
    with pytest.raises(ValueError, match="project it to 4 channels"):
        FeatureCrossAttention(4)([symbol((8, 8, 3)), symbol((8, 8, 5))])
