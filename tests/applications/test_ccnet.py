import keras
import pytest

from keras_segattn.applications import CCNet
from keras_segattn.backbones import ResNet18
from keras_segattn.backbones.resnet import _bottleneck, _resnet
from keras_segattn.flops import count_flops
from keras_segattn.layers import StripAttention
from tests.golden import (
    assert_close,
    assign_block,
    assign_conv,
    assign_resnet,
    feature_map,
    load_golden,
)
from tests.training import call, predict_any_size, randomize


def tiny_resnet(counts=(1, 1, 1, 1), size=(None, None)):
    """The authors' backbone with an eighth of the channels."""
    return _resnet(_bottleneck, counts, (*size, 3), 8, "deep", None, None, "tiny", width=8)


def tiny_ccnet(**arguments):
    arguments = {"backbone": tiny_resnet(), "classes": 5, "filters": 16, **arguments}
    return CCNet(**arguments)


# The counts of the papers' networks are in docs/networks.md, and a test counts them again.
@pytest.mark.once
@pytest.mark.parametrize("attention", ["criss_cross", "non_local"])
def test_equation_2_has_no_gamma(attention):
    def scalars(**arguments):
        model = tiny_ccnet(attention=attention, **arguments)
        return [w.path for w in model.trainable_weights if w.path == "attention/gamma"]

    assert scalars() == ["attention/gamma"]
    assert not scalars(use_gamma=False)


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "giga"),
    [
        ({"recurrence": 1}, 8.258),
        ({"recurrence": 2}, 16.516),
        ({"recurrence": 3}, 24.775),
        ({"attention": "non_local"}, 108.152),
    ],
)
def test_growth_of_tables_3_and_5(arguments, giga, shapes_only):
    def flops(**arguments):
        # One layer in front keeps the count quick; the tables are about the layers after it.
        image = keras.Input((None, None, 3))
        map_at_stride_8 = keras.layers.Conv2D(2048, 1, strides=8)(image)
        backbone = keras.Model(image, {"P5": map_at_stride_8}, name="stub")
        return count_flops(CCNet(backbone=backbone, **arguments), (769, 769, 3), "ccnet")

    growth = flops(**arguments) - flops(attention=None)
    assert round(growth / 1e9, 3) == giga


@pytest.mark.parametrize(
    ("attention", "recurrence", "output"),
    [(None, 2, "y_r0"), ("criss_cross", 1, "y_r1"), ("criss_cross", 2, "y_r2")],
)
def test_head_is_that_of_the_authors(attention, recurrence, output, shared):
    golden = load_golden(shared("golden", "ccnet_rcca_head.npz"), in_place_abn=True)
    features = keras.Input((None, None, 32))
    backbone = keras.Model(features, {"P5": keras.layers.Identity()(features)}, name="features")
    model = CCNet(
        backbone=backbone,
        input_shape=(None, None, 32),
        classes=5,
        filters=16,
        attention=attention,
        recurrence=recurrence,
    )
    assign_head(golden, model, "")
    assert_close(model(feature_map(golden, "x")), feature_map(golden, output))


def assign_head(golden, model, prefix):
    assign_block(model.get_layer("reduce"), golden, f"{prefix}conva.0", f"{prefix}conva.1")
    assign_block(model.get_layer("context"), golden, f"{prefix}convb.0", f"{prefix}convb.1")
    assign_block(model.get_layer("fuse"), golden, f"{prefix}bottleneck.0", f"{prefix}bottleneck.1")
    assign_conv(model.get_layer("classifier"), golden, f"{prefix}bottleneck.3")
    if "attention" in {layer.name for layer in model.layers}:
        attention = model.get_layer("attention")
        for name in ("query", "key", "value"):
            assign_conv(getattr(attention, name), golden, f"{prefix}cca.{name}_conv")
        attention.gamma.assign(golden[f"w/{prefix}cca.gamma"])


@pytest.mark.parametrize(
    ("name", "counts", "classes"),
    [("ccnet_tiny", (1, 2, 2, 2), 5), ("ccnet_tiny_even", (1, 1, 2, 2), 4)],
)
def test_network_is_that_of_the_authors(name, counts, classes, shared):
    golden = load_golden(shared("golden", f"{name}.npz"), in_place_abn=True)
    model = CCNet(
        backbone=tiny_resnet(counts), classes=classes, filters=64, auxiliary_heads=True
    ).network
    assign_resnet(model.get_layer("tiny"), golden)
    assign_head(golden, model, "head.")
    auxiliary_head = model.get_layer("auxiliary_head")
    assign_block(auxiliary_head.hidden, golden, "dsn.0", "dsn.1")
    assign_conv(auxiliary_head.classifier, golden, "dsn.3")

    at_stride_8 = keras.Model(
        model.input, [model.get_layer("classifier").output, auxiliary_head.output]
    )
    for got, want in zip(call(at_stride_8, feature_map(golden, "x")), ("y", "dsn"), strict=True):
        assert_close(got, feature_map(golden, want), tolerance=1e-3)


def test_logits_are_resized_with_aligned_corners(rng):
    model = tiny_ccnet(auxiliary_heads=True).network
    randomize(model, rng)
    small = keras.Model(
        model.input,
        [model.get_layer("classifier").output, model.get_layer("auxiliary_head").output],
    )
    image = rng.normal(size=(1, 33, 65, 3)).astype("float32")
    for got, coarse in zip(call(model, image), call(small, image), strict=True):
        assert coarse.shape[1:3] == (5, 9)
        assert got.shape == (1, 33, 65, 5)
        # 32 steps for 4, and 64 for 8: every eighth pixel is one of the coarse map.
        assert_close(got[:, ::8, ::8], coarse)


@pytest.mark.parametrize(
    "attention",
    ["criss_cross", "non_local", "pyramid_pooling", "aspp", None, StripAttention(4, name="own")],
)
def test_any_size_and_any_attention(attention, rng):
    predict = predict_any_size(tiny_ccnet(attention=attention))
    for height, width in ((33, 65), (32, 40)):
        logits = predict(rng.normal(size=(1, height, width, 3)).astype("float32"))
        assert logits.shape == (1, height, width, 5)
        assert logits.dtype == "float32"


def test_backbone_by_name_has_stride_8_and_a_model_keeps_its_own(shapes_only):
    arguments = {"input_shape": (65, 97, 3), "include_top": False}
    assert CCNet(backbone="resnet18", **arguments).output_shape == (None, 9, 13, 512)
    for output_stride, size in ((16, (5, 7)), (32, (3, 4))):
        model = CCNet(backbone="mobilenet_v2", output_stride=output_stride, **arguments)
        assert model.output_shape == (None, *size, 512)
    coarse = ResNet18(output_stride=16)
    assert CCNet(backbone=coarse, **arguments).output_shape == (None, 5, 7, 512)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet17"}, "Unknown backbone 'resnet17'"),
        ({"backbone": "df1"}, r"'df1' has no \['output_stride'\]"),
        ({"backbone": "mobilenet_v2", "stem": "deep"}, r"'mobilenet_v2' has no \['stem'\]"),
        ({"output_stride": 4}, "`output_stride` must be one of .*Received: 4"),
        ({"output_stride": 16}, "build the model with that output_stride"),
        ({"input_shape": (1, 64, 64, 3)}, r"without the batch. Received: \(1, 64, 64, 3\)"),
        ({"input_shape": (16, 64, 3)}, r"at least 32.*\(16, 64, 3\)"),
        ({"classes": 0}, "`classes` must be at least 1. Received: 0"),
        ({"attention": "axial"}, "`attention` must be one of .*Received: 'axial'"),
        ({"recurrence": 0}, "`recurrence` must be at least 1.*Received: 0"),
        ({"stem": "wide"}, "`stem` must be one of .*Received: 'wide'"),
        ({"stem": "deep"}, "build the model with that stem"),
        ({"auxiliary_heads": True, "include_top": False}, "requires `include_top=True`"),
    ],
)
def test_refusals_name_the_value(arguments, message, shapes_only):
    with pytest.raises(ValueError, match=message):
        tiny_ccnet(**arguments)


def test_attention_of_another_size_is_refused(shapes_only):
    layer = keras.layers.Conv2D(3, 3, strides=2)
    message = r"same size\. Received: Conv2D, which turns \(1, 64, 96, 64\) into \(1, 31, 47, 3\)"
    with pytest.raises(ValueError, match=message):
        tiny_ccnet(attention=layer)
    # Other channels do no harm.
    tiny_ccnet(attention=keras.layers.Conv2D(3, 1))
