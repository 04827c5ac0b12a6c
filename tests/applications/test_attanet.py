import keras
import numpy as np
import pytest

from keras_segattn.applications import AttaNet
from keras_segattn.applications.deep_supervision import DeepSupervision
from keras_segattn.backbones import LightBackbone
from keras_segattn.flops import count_flops
from keras_segattn.layers import (
    ConvNormAct,
    CrissCrossAttention,
    ExpectationMaximizationAttention,
    NonLocal,
)
from tests.golden import assert_close, assign_block, assign_conv, assign_fusion, load_golden
from tests.training import call

BASELINE = {"attention": None, "fusion": "addition"}
SMALL = {"backbone": "light", "classes": 3, "filters": 8}


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


# The counts of the papers' networks are in docs/networks.md, and a test counts them again.
@pytest.mark.once
def test_plain_projections_and_the_weight_of_auxiliary_losses():
    model = AttaNet(**SMALL, auxiliary_heads=True, auxiliary_weight=0.5, normalize_attention=False)
    assert model.auxiliary_weights == [0.5, 0.5]
    attention = model.get_layer("attention")
    assert all(isinstance(p, keras.layers.Conv2D) for p in (attention.query, attention.key))
    assert isinstance(AttaNet(**SMALL).get_layer("attention").query, ConvNormAct)


@pytest.mark.once
@pytest.mark.parametrize(
    ("backbone", "parameters", "operations"),
    [("resnet18", 12_789_568, 23.62), ("light", 1_004_768, 5.93)],
)
def test_counts_with_auxiliary_heads(backbone, parameters, operations, shapes_only):
    network = AttaNet(backbone=backbone, auxiliary_heads=True).network
    assert trainable(network) == parameters
    assert round(count_flops(network, (512, 1024, 3)) / 1e9, 2) == operations


@pytest.mark.once
def test_published_operations_of_the_modules(shapes_only):
    """The counts in Tables 2 and 3 that are not in docs/networks.md."""

    def count(**arguments):
        model = AttaNet(auxiliary_heads=True, **{**BASELINE, **arguments}).network
        return count_flops(model, (1024, 1024, 3)) / 1e9

    def added(**arguments):
        return round(count(**arguments) - baseline, 3)

    baseline = count()
    assert added(attention="horizontal") == 0.185
    assert added(fusion="concatenation") == 0.336
    # Table 3: 3.357, 0.472 and 0.335, the last without the rebuilding of the pixels.
    assert added(attention=NonLocal(reduction=2)) == 3.355
    assert added(attention=CrissCrossAttention(2, reduction=2)) == 0.468
    assert added(attention=ExpectationMaximizationAttention()) == 0.369


@pytest.mark.parametrize("backbone", ["shufflenet_v2", "df1", "light"])
def test_any_size(backbone, rng):
    model = AttaNet(backbone=backbone, classes=3, filters=8)
    for size in ((33, 65), (64, 32)):
        image = rng.normal(size=(1, *size, 3)).astype("float32")
        logits = call(model, image)
        assert logits.shape == (1, *size, 3)
        assert np.isfinite(logits).all()


def test_without_a_top_it_returns_features_at_stride_8(shapes_only):
    assert AttaNet(input_shape=(65, 97, 3), include_top=False).output_shape == (None, 9, 13, 128)
    model = AttaNet(backbone="light", input_shape=(65, 97, 3), include_top=False)
    assert model.output_shape == (None, 9, 13, 64)


@pytest.mark.once
@pytest.mark.parametrize("fusion", ["attention", "addition", "concatenation"])
def test_without_auxiliary_heads_there_is_no_weight_of_theirs(fusion):
    plain = AttaNet(**SMALL, fusion=fusion)
    assert not isinstance(plain, DeepSupervision)
    assert not any("auxiliary" in weight.path for weight in plain.weights)
    supervised = AttaNet(**SMALL, fusion=fusion, auxiliary_heads=True)
    assert any("auxiliary" in weight.path for weight in supervised.weights)


def test_own_backbone_with_the_light_decoder(rng):
    backbone = LightBackbone(name="mine")
    model = AttaNet(backbone=backbone, classes=3, light=True)
    assert trainable(model) == trainable(AttaNet(backbone="light", classes=3))
    with pytest.raises(ValueError, match=r"'mine' lacks the pyramid levels \['P5'\]"):
        AttaNet(backbone=backbone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention": "diagonal"}, "diagonal"),
        ({"fusion": "mean"}, "mean"),
        ({"interpolation": "cubic"}, "cubic"),
        ({"classes": 0}, "classes"),
        ({"input_shape": (None, None)}, "input_shape"),
        ({"input_shape": (16, 64, 3)}, "at least 32"),
        ({"backbone": "light", "input_shape": (8, 64, 3)}, "at least 16"),
        ({"backbone": "vgg"}, "vgg"),
        ({"auxiliary_heads": True, "include_top": False}, "include_top"),
    ],
)
def test_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttaNet(**arguments)


def narrow_resnet18(golden):
    """ResNet-18 of width 16 with the authors' weights, from their names."""

    def block(x, filters, conv, norm, **arguments):
        kernel = golden[f"w/{prefix}{conv}.weight"]
        layer = ConvNormAct(filters, kernel.shape[-1], **arguments)
        y = layer(x)
        assign_block(layer, golden, prefix + conv, prefix + norm)
        return y

    prefix = "head.resnet."
    inputs = keras.Input((None, None, 3))
    x = block(inputs, 16, "conv1", "bn1", strides=2)
    x = keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(x))
    outputs = {}
    for stage in range(1, 5):
        for i in range(2):
            name, filters = f"layer{stage}.{i}", 8 * 2**stage
            strides = 2 if stage > 1 and i == 0 else 1
            y = block(x, filters, f"{name}.conv1", f"{name}.bn1", strides=strides)
            y = block(y, filters, f"{name}.conv2", f"{name}.bn2", activation=None)
            if strides == 2:
                names = (f"{name}.downsample.0", f"{name}.downsample.1")
                x = block(x, filters, *names, strides=2, activation=None)
            x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
        outputs[f"P{stage + 1}"] = x
    return keras.Model(inputs, outputs, name="narrow_resnet18")


def assign_decoder(network, golden):
    assign_fusion(network.get_layer("fusion"), golden, prefix="head.")
    for ours, theirs in (("decoder1", "conv_head1"), ("decoder2", "conv_head2")):
        names = f"head.{theirs}.conv", f"head.{theirs}.bn"
        assign_block(network.get_layer(ours), golden, *names)
    for ours, theirs in (("key", "conv1"), ("query", "conv2"), ("value", "conv3")):
        names = f"head.sam.{theirs}.conv", f"head.sam.{theirs}.bn"
        assign_block(getattr(network.get_layer("attention"), ours), golden, *names)
    for ours, theirs in (
        ("head", "conv_out"),
        ("auxiliary1_head", "conv_out1"),
        ("auxiliary2_head", "conv_out2"),
    ):
        head = network.get_layer(ours)
        assign_block(head.hidden, golden, f"{theirs}.conv.conv", f"{theirs}.conv.bn")
        assign_conv(head.classifier, golden, f"{theirs}.conv_out")


def assert_outputs(model, golden):
    outputs = call(model.network, golden["x_nhwc"])
    for ours, theirs in zip(outputs, ("out", "aux1", "aux2"), strict=True):
        assert_close(ours, golden[f"{theirs}_nhwc"], tolerance=1e-3)


def test_equals_the_authors_resnet18_network(shared):
    golden = load_golden(shared("golden", "attanet_r18_w16.npz"))
    model = AttaNet(backbone=narrow_resnet18(golden), classes=5, filters=32, auxiliary_heads=True)
    assign_decoder(model.network, golden)
    assert_outputs(model, golden)


def test_equals_the_authors_light_network(shared):
    golden = load_golden(shared("golden", "attanet_light.npz"))
    backbone = LightBackbone()
    for layer in backbone.layers:
        if isinstance(layer, ConvNormAct):
            name = f"head.backbone.branch.{layer.name}"
            assign_block(layer, golden, f"{name}.conv", f"{name}.bn")
    model = AttaNet(backbone=backbone, classes=5, light=True, auxiliary_heads=True)
    assign_decoder(model.network, golden)
    assert_outputs(model, golden)
