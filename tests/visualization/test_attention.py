import keras
import numpy as np
import pytest

from keras_segattn import layers
from keras_segattn.applications import AttaNet, CCNet, MaskRCNN, SegmentationModel
from keras_segattn.layers.feature_cross_attention import ORDERS
from keras_segattn.visualization import attention_layers, attention_maps, model_attention
from tests import oracles
from tests.applications.cases import CASES, tiny_backbone
from tests.oracles import batch_norm, conv2d, dense, sigmoid, weights
from tests.training import randomize, to_numpy

PIXEL = (1, 3)


def random_layer(layer, rng, *shapes):
    inputs = [rng.normal(size=shape).astype("float32") for shape in shapes]
    inputs = inputs if len(shapes) > 1 else inputs[0]
    layer.build(keras.tree.map_structure(lambda x: x.shape, inputs))
    randomize(layer, rng)
    return layer, inputs


def dense_attention(scores):
    """The matrix of all pixels by all pixels of the scores along column and row."""
    height, width = scores.shape[:2]
    matrix = np.zeros((height, width, height, width))
    for i, j in np.ndindex(height, width):
        matrix[i, j, :, j] += scores[i, j, :height]
        matrix[i, j, i, :] += scores[i, j, height:]
    return matrix.reshape(height * width, height * width)


@pytest.mark.parametrize("loops", [1, 2, 3])
def test_criss_cross_attention_is_the_product_of_its_loops(loops, rng):
    layer, x = random_layer(layers.CrissCrossAttention(loops, 4), rng, (1, 4, 5, 8))
    maps = attention_maps(layer, x, PIXEL)
    assert list(maps) == ["after 1 loop", "after 2 loops", "after 3 loops"][:loops]
    product = np.eye(20)
    for count, got in enumerate(maps.values(), start=1):
        once = layers.CrissCrossAttention(count, 4)
        once.build(x.shape)
        once.set_weights(layer.get_weights())
        _, scores = oracles.criss_cross_attention(once, x)
        product = dense_attention(scores[0]) @ product
        want = product.reshape(4, 5, 4, 5)[PIXEL]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(got.sum(), 1, rtol=1e-5)
    assert np.count_nonzero(maps["after 1 loop"]) == 4 + 5 - 1
    if loops > 1:
        assert np.count_nonzero(maps["after 2 loops"]) == 20


def test_criss_cross_attention_is_that_of_the_call(rng):
    layer, x = random_layer(layers.CrissCrossAttention(2, 4), rng, (1, 4, 5, 8))
    _, last = layer(x, return_attention_scores=True)
    first = layers.CrissCrossAttention(1, 4)
    first.build(x.shape)
    first.set_weights(layer.get_weights())
    want = dense_attention(to_numpy(last)[0])
    want = want @ dense_attention(to_numpy(first(x, return_attention_scores=True)[1])[0])
    got = attention_maps(layer, x, PIXEL)["after 2 loops"]
    np.testing.assert_allclose(got, want.reshape(4, 5, 4, 5)[PIXEL], rtol=1e-4, atol=1e-6)


@keras.saving.register_keras_serializable(package="tests")
class Brightness(keras.layers.Layer):
    """A layer of a user's own, of which the package knows nothing."""

    def call(self, x):
        return x * self.attention(x)["brightness"][..., None]

    def attention(self, x, pixel=None):
        return {"brightness": keras.ops.mean(x, axis=-1)}

    def compute_output_shape(self, x_shape):
        return x_shape


def test_a_layer_of_ones_own_is_shown(rng):
    image = keras.Input((None, None, 3))
    model = SegmentationModel(image, Brightness(name="mine")(image))
    assert attention_layers(model) == ["mine"]
    picture = rng.integers(0, 256, (6, 8, 3), dtype="uint8")
    maps = model_attention(model, picture)
    want = to_numpy(model.preprocessing(picture[None]))[0].mean(axis=-1)
    np.testing.assert_allclose(maps["brightness"], want, rtol=1e-5, atol=1e-6)


def test_a_sublayer_named_attention_is_not_mistaken():
    layer = keras.layers.Layer()
    layer.attention = keras.layers.Dense(2)
    with pytest.raises(TypeError, match="method `attention"):
        attention_maps(layer, np.ones((1, 4, 4, 8)))


def test_non_local(rng):
    layer, x = random_layer(layers.NonLocal(reduction=4), rng, (1, 4, 5, 8))
    got = attention_maps(layer, x, PIXEL)["attention"]
    query, key = (dense(conv, x[0].astype("float64")) for conv in (layer.query, layer.key))
    energy = key @ query[PIXEL]
    want = np.exp(energy - energy.max())
    np.testing.assert_allclose(got, want / want.sum(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("orientation", ["vertical", "horizontal"])
def test_the_map_of_a_strip_is_what_every_pixel_gives_it(orientation, rng):
    """Figure 9 of the paper of AttaNet."""
    layer, x = random_layer(layers.StripAttention(8, orientation), rng, (1, 4, 6, 8))
    _, scores = layer(x, return_attention_scores=True)
    strips = {"vertical": 6, "horizontal": 4}[orientation]
    maps = [attention_maps(layer, x, strip=strip)[f"strip {strip}"] for strip in range(strips)]
    np.testing.assert_allclose(np.stack(maps, -1), to_numpy(scores)[0], rtol=1e-5)
    np.testing.assert_allclose(sum(maps), np.ones((4, 6)), rtol=1e-5)
    with pytest.raises(ValueError, match=f"`strip` must be from 0 to {strips - 1}. Received: 9"):
        attention_maps(layer, x, strip=9)
    other, y = random_layer(layers.NonLocal(4), rng, (1, 4, 6, 8))
    with pytest.raises(ValueError, match="`strip` is for StripAttention"):
        attention_maps(other, y, strip=1)


def test_a_column_of_the_image_is_a_strip_of_the_map(rng):
    model = AttaNet(backbone=tiny_backbone(), classes=3, filters=8)
    randomize(model, rng)
    image = rng.integers(0, 256, (64, 96, 3), dtype="uint8")
    ((name, found),) = model_attention(model, image, strip=50).items()
    assert name == "strip 50"
    layer = model.get_layer("attention")
    features = keras.Model(model.inputs, layer.input)(model.preprocessing(image[None]))
    want = attention_maps(layer, features, strip=50 * features.shape[2] // 96)
    np.testing.assert_allclose(found, *want.values(), rtol=1e-4)
    with pytest.raises(ValueError, match=r"96 columns of the image, from 0 to 95. Received: 96"):
        model_attention(model, image, strip=96)
    with pytest.raises(ValueError, match=r"give one of them. Received: pixel=\(1, 2\), strip=3"):
        model_attention(model, image, pixel=(1, 2), strip=3)
    with pytest.raises(ValueError, match="give one of them"):
        attention_maps(layer, features, pixel=(1, 2), strip=3)


def test_strips_of_a_network_without_them_are_refused():
    model = CCNet(backbone=tiny_backbone(), classes=2, filters=8)
    with pytest.raises(ValueError, match=r"'ccnet' has none: give `pixel=.* Received: strip=3"):
        model_attention(model, np.zeros((32, 48, 3), "uint8"), strip=3)


@pytest.mark.parametrize("orientation", ["vertical", "horizontal"])
def test_strips(orientation, rng):
    layer, x = random_layer(layers.StripAttention(6, orientation), rng, (1, 4, 5, 8))
    got = attention_maps(layer, x, PIXEL)["strips"]
    _, scores = oracles.strip_attention(layer, x)
    across = 0 if orientation == "vertical" else 1
    np.testing.assert_allclose(got.sum(axis=across), scores[(0, *PIXEL)], rtol=1e-3, atol=1e-5)
    assert np.ptp(got, axis=across).max() == 0
    np.testing.assert_allclose(got.sum(), 1, rtol=1e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_feature_cross_attention(order, rng):
    layer = layers.FeatureCrossAttention(4, order)
    layer, inputs = random_layer(layer, rng, (1, 5, 7, 3), (1, 5, 7, 4))
    maps = attention_maps(layer, inputs)
    spatial, context = (x[0].astype("float64") for x in inputs)
    gate = layer.spatial_gate
    where = sigmoid(batch_norm(conv2d(spatial, weights([gate.conv.kernel])[0]), gate.norm))
    np.testing.assert_allclose(maps["spatial"], where[..., 0], rtol=1e-4, atol=1e-5)
    assert ("channel" in maps) == (order != "spatial")
    if order != "spatial":
        excite = layer.channel_gate.excite
        pooled = [context.mean(axis=(0, 1)), context.max(axis=(0, 1))]
        what = sigmoid(sum(dense(excite, vector) for vector in pooled))
        np.testing.assert_allclose(maps["channel"], what, rtol=1e-4, atol=1e-5)


def test_ccbam(rng):
    shape = (1, 5, 7, 8)
    layer, (high, low) = random_layer(layers.CCBAM(4), rng, shape, shape)
    maps = attention_maps(layer, [high, low])
    for side, own, other in (("high", high, low), ("low", low, high)):
        channel = oracles.channel_attention(getattr(layer, f"channel_{side}"), own[0], False)
        np.testing.assert_allclose(maps[f"channel_{side}"], channel, rtol=1e-4, atol=1e-5)
        gate = getattr(layer, f"spatial_{side}")
        spatial = oracles.spatial_attention(gate, other[0] * channel)
        np.testing.assert_allclose(maps[f"spatial_{side}"], spatial[..., 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("light", [False, True])
def test_attention_fusion(light, rng):
    layer = layers.AttentionFusion(5, light=light)
    layer, inputs = random_layer(layer, rng, (1, 6, 8, 4), (1, 3, 4, 6))
    alpha = attention_maps(layer, inputs)["fusion"]
    assert alpha.shape == (5,)
    # The weighted high level is alpha times its value for alpha = 1.
    _, weighed = oracles.attention_fusion(layer, *inputs)
    layer.norm.beta.assign(np.full(5, 100.0))
    _, whole = oracles.attention_fusion(layer, *inputs)
    np.testing.assert_allclose(alpha * whole, weighed, rtol=1e-3, atol=1e-5)
    assert np.ptp(alpha) > 1e-3


def test_seaspp(rng):
    layer, x = random_layer(layers.SEASPP(filters=4), rng, (1, 5, 7, 6))
    hidden = np.maximum(dense(layer.squeeze, x[0].mean(axis=(0, 1))), 0)
    want = sigmoid(dense(layer.excite, hidden))
    np.testing.assert_allclose(attention_maps(layer, x)["channel"], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_maps_of_a_network_are_those_of_the_layer_in_it(name, rng):
    model = CASES[name]()
    randomize(model, rng)
    image = rng.integers(0, 256, (45, 70, 3), dtype="uint8")
    names = attention_layers(model)
    assert (
        names
        == {
            "attanet": ["fusion", "attention"],
            "canet": ["fusion"],
            "ccnet": ["attention"],
            "crosscbam": ["context", "fusion1", "fusion2"],
        }[name]
    )
    for layer_name in names:
        layer = model.get_layer(layer_name)
        features = keras.Model(model.inputs, layer.input)(model.preprocessing(image[None]))
        height, width = keras.tree.flatten(features)[0].shape[1:3]
        maps = model_attention(model, image, (44, 35), layer_name)
        want = attention_maps(layer, features, (height - 1, width // 2))
        assert list(maps) == list(want)
        for key, values in maps.items():
            np.testing.assert_allclose(values, want[key], rtol=1e-5, atol=1e-7)
            assert np.isfinite(values).all()
            assert values.shape == (height, width) or values.ndim == 1


@pytest.mark.parametrize("attention", ["criss_cross", "non_local"])
def test_maps_of_a_layer_in_the_backbone(attention, rng):
    """Mask R-CNN has its attention inside the backbone, a model of its own."""
    model = MaskRCNN(
        backbone="resnet18", classes=2, filters=8, units=8, proposals=4, attention=attention
    )
    randomize(model, rng)
    model.padded_model()  # which calls the backbone on other inputs
    image = rng.integers(0, 256, (64, 96, 3), dtype="uint8")
    assert attention_layers(model) == ["backbone/layer3_attention"]
    backbone = model.get_layer("backbone")
    layer = backbone.get_layer("layer3_attention")
    features = keras.Model(backbone.input, layer.input)(model.preprocessing(image[None]))
    assert features.shape[1:3] == (4, 6)
    want = attention_maps(layer, features, (1, 5))
    got = model_attention(model, image, (20, 90))
    assert list(got) == list(want)
    for name, weights_ in got.items():
        np.testing.assert_allclose(weights_, want[name], rtol=1e-5, atol=1e-7)


def test_a_nested_model_gets_what_it_is_called_on(rng):
    image = keras.Input((16, 16, 3))
    half = keras.Input((8, 8, 3))
    inner = keras.Model(half, layers.NonLocal(reduction=1, name="look")(half), name="inner")
    model = SegmentationModel(image, inner(keras.layers.AveragePooling2D(2)(image)))
    picture = rng.integers(0, 256, (16, 16, 3), dtype="uint8")
    (got,) = model_attention(model, picture, (5, 9)).values()
    pooled = keras.layers.AveragePooling2D(2)(model.preprocessing(picture[None]))
    (want,) = attention_maps(inner.get_layer("look"), pooled, (2, 4)).values()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


@pytest.mark.once
def test_a_deeply_supervised_network_in_half_precision(rng):
    keras.config.set_dtype_policy("mixed_float16")
    model = CCNet(backbone=tiny_backbone(), classes=3, filters=16, auxiliary_heads=True)
    randomize(model, rng)
    image = rng.integers(0, 256, (64, 64, 3), dtype="uint8")
    for weights_ in model_attention(model, image, (3, 60)).values():
        np.testing.assert_allclose(weights_.sum(), 1, rtol=1e-3)


@pytest.mark.once
def test_refuses_what_does_not_fit(rng):
    model = AttaNet(backbone=tiny_backbone(), classes=3, filters=8)
    image = np.zeros((64, 96, 3), "uint8")
    with pytest.raises(ValueError, match=r"one of \('fusion', 'attention'\). Received: None"):
        model_attention(model, image, (0, 0))
    with pytest.raises(ValueError, match="pass `pixel="):
        model_attention(model, image, layer="attention")
    for pixel in ((64, 0), (0, -1), (1, 2, 3)):
        with pytest.raises(ValueError, match=r"inside \(64, 96\). Received"):
            model_attention(model, image, pixel, "attention")
    layer = layers.SEASPP(4)
    with pytest.raises(ValueError, match=r"one image.*batch of 2"):
        attention_maps(layer, np.ones((2, 4, 4, 8)))
    with pytest.raises(TypeError, match=r"a method `attention.*ResizeLike"):
        attention_maps(layers.ResizeLike(), [np.ones((1, 4, 4, 8)), np.ones((1, 2, 2, 8))])
