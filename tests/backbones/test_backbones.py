"""The contract of backbones: maps P2 to P5 at strides 4, 8, 16 and 32."""

import keras
import numpy as np
import pytest

from keras_segattn import backbones
from keras_segattn.applications import AttaNet, CANet
from keras_segattn.backbones.registry import BACKBONES
from tests.applications.cases import tiny_backbone, with_cases
from tests.layers.cases import as_array
from tests.training import randomize, to_numpy

# Channels of P2, P3, ..., and the parameters: torchvision's without the classifier (and without the
# 1x1 to 1280 channels for MobileNetV2), the reference code's without the same layers for
# EfficientNet-Lite, the STDC authors' without theirs, and for the others those that the parameters
# of AttaNet's Table 4 ask for.
EXPECTED = {
    "df1": ((64, 64, 128, 512), 8_020_128),
    "df2": ((64, 128, 256, 512), 17_474_208),
    "efficientnet_lite0": ((24, 40, 112, 320), 2_958_848),
    "efficientnet_lite1": ((24, 40, 112, 320), 3_723_520),
    "efficientnet_lite2": ((24, 48, 120, 352), 4_357_952),
    "light": ((64, 64, 128), 503_712),
    "mobilenet_v2": ((24, 32, 96, 320), 1_811_712),
    "resnet18": ((64, 128, 256, 512), 11_176_512),
    "resnet50": ((256, 512, 1024, 2048), 23_508_032),
    "resnet101": ((256, 512, 1024, 2048), 42_500_160),
    "shufflenet_v2": ((24, 116, 232, 464), 776_420),
    "stdc1": ((64, 256, 512, 1024), 5_318_304),
    "stdc2": ((64, 256, 512, 1024), 9_348_768),
}
with_backbones = pytest.mark.parametrize("name", sorted(BACKBONES))


def test_every_backbone_is_tested():
    assert set(BACKBONES) == set(EXPECTED)


@pytest.mark.once
@with_backbones
def test_arguments_are_checked_as_those_of_networks(name):
    constructor = BACKBONES[name]
    message = rf"{constructor.__name__} takes its arguments by name only, such as input_shape="
    with pytest.raises(TypeError, match=message):
        constructor(False)
    with pytest.raises(ValueError, match=r"channels come last, such as \(None, None, 3\)"):
        constructor(input_shape=(3, None, None))


@with_backbones
def test_levels_channels_and_parameters(name, shapes_only):
    model = BACKBONES[name]()
    assert model.name == name
    channels, parameters = EXPECTED[name]
    for exponent, count in enumerate(channels, start=2):
        assert model.output[f"P{exponent}"].shape[-1] == count
    assert ("P5" in model.output) == (len(channels) == 4)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable == parameters


@pytest.mark.once
@with_backbones
@pytest.mark.parametrize(("height", "width"), [(32, 64), (33, 65), (97, 50)])
def test_sizes_are_rounded_up(name, height, width, shapes_only):
    output = BACKBONES[name](input_shape=(height, width, 3)).output
    for level, x in output.items():
        stride = 2 ** int(level[1])
        assert x.shape[1:3] == (-(-height // stride), -(-width // stride))


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2", "resnet18"])
def test_known_and_unknown_sizes_agree(name, rng):
    free, fixed = BACKBONES[name](), BACKBONES[name](input_shape=(33, 50, 3))
    fixed.set_weights(free.get_weights())
    images = rng.normal(size=(1, 33, 50, 3)).astype("float32")
    one, other = free.predict(images, verbose=0), fixed.predict(images, verbose=0)
    for level in one:
        np.testing.assert_allclose(one[level], other[level], atol=1e-4)


# Both P2 and P3 see each of these heights, at one stride or another, as an odd number.
@pytest.mark.once
@pytest.mark.parametrize("name", sorted(set(BACKBONES) - {"resnet101", "resnet50"}))
def test_maps_lie_at_the_same_places_in_images_of_every_size(name, rng):
    backbone = BACKBONES[name]()
    image = rng.normal(size=(1, 192, 32, 3)).astype("float32")
    whole = backbone(image)
    for height in (186, 187, 188):
        cut = backbone(image[:, :height])
        for level in ("P2", "P3"):
            got, want = (to_numpy(maps[level])[:, :2] for maps in (cut, whole))
            np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max(), rtol=0)


def test_resnet_is_an_ordinary_residual_network(rng):
    """The first block of ResNet-18 from its parts."""
    model = backbones.ResNet18(input_shape=(32, 32, 3))
    randomize(model, rng)
    image = rng.normal(size=(1, 32, 32, 3)).astype("float32")

    def at(name):
        return as_array(keras.Model(model.input, model.get_layer(name).output)(image))

    stem = np.pad(at("conv1"), ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    pooled = np.stack(
        [
            stem[:, i : i + 3, j : j + 3].max((1, 2))
            for i in range(0, 16, 2)
            for j in range(0, 16, 2)
        ],
        axis=1,
    ).reshape(1, 8, 8, 64)
    np.testing.assert_array_equal(pooled, at("pool"))
    want = np.maximum(at("pool") + at("layer1_0_conv2"), 0)
    np.testing.assert_allclose(at("layer1_0_relu"), want, rtol=1e-6)


def test_pyramid_of_a_users_model():
    pyramid = backbones.feature_pyramid(tiny_backbone(), ("P4", "P5"))
    assert {level: x.shape[-1] for level, x in pyramid.output.items()} == {"P4": 12, "P5": 32}


def test_pyramid_of_kerashub_and_kerascv():
    """Both carry their levels as an attribute; here a model with the same attribute."""
    hub, cv = tiny_backbone(), tiny_backbone()
    hub_like = keras.Model(hub.input, hub.output["P5"])
    hub_like.pyramid_outputs = hub.output
    cv_like = keras.Model(cv.input, cv.output["P5"])
    names = {level: tensor._keras_history.operation.name for level, tensor in cv.output.items()}
    cv_like.pyramid_level_inputs = names
    for backbone in (hub_like, cv_like):
        assert set(backbones.feature_pyramid(backbone).output) == {"P2", "P3", "P4", "P5"}


def test_kerashub_backbone():
    keras_hub = pytest.importorskip("keras_hub", reason="keras_hub is not installed")
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 8, 16, 16],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    check_in_canet(backbone)


def test_kerascv_backbone():
    keras_cv = pytest.importorskip("keras_cv", reason="keras_cv is not installed")
    backbone = keras_cv.models.ResNetBackbone(
        stackwise_filters=[64, 8, 16, 16],
        stackwise_blocks=[1, 1, 1, 1],
        stackwise_strides=[1, 2, 2, 2],
        block_type="basic_block",
        include_rescaling=False,
        input_shape=(None, None, 3),
    )
    check_in_canet(backbone)


def check_in_canet(backbone):
    model = CANet(backbone=backbone, classes=5, filters=16)
    assert model.predict(np.ones((1, 45, 70, 3)), verbose=0).shape == (1, 45, 70, 5)


@pytest.mark.parametrize(
    ("backbone", "error", "message"),
    [
        ("vgg", ValueError, r"Unknown backbone 'vgg'.*resnet18"),
        (42, TypeError, r"Received: 42 of type int"),
        ("ResNet-50", ValueError, r"Did you mean 'resnet50' or 'keras.applications/ResNet50'\? Ch"),
        ("keras.applications.VGG16", ValueError, r"mean 'keras.applications/VGG16'\? Choose"),
        ("resnet34", ValueError, r"Unknown backbone 'resnet34'\. Choose"),
    ],
)
def test_refusals_name_the_value(backbone, error, message):
    with pytest.raises(error, match=message):
        backbones.build_backbone(backbone)


def test_missing_level_is_named():
    tiny = tiny_backbone()
    short = keras.Model(tiny.input, {"P4": tiny.output["P4"]}, name="short")
    with pytest.raises(ValueError, match=r"'short' lacks the pyramid levels \['P5'\]"):
        backbones.feature_pyramid(short, ("P4", "P5"))
    with pytest.raises(TypeError, match="not a dict of pyramid levels"):
        backbones.feature_pyramid(keras.Model(tiny.input, tiny.output["P4"]))


@pytest.mark.parametrize("name", ["df1", "keras.applications/MobileNet"])
def test_backbones_without_dilation_have_an_output_stride_of_32(name, shapes_only):
    with pytest.raises(ValueError, match=r"no \['output_stride'\].*Pass `output_stride=32`"):
        backbones.build_backbone(name, output_stride=8)
    sizes = backbones.build_backbone(name, levels=("P5",), output_stride=32, size=(64, 64))
    assert sizes.input.shape == (None, None, None, 3)


def test_a_backbone_of_one_size_is_refused_by_a_network_of_any_size(shapes_only):
    fixed = backbones.LightBackbone(input_shape=(64, 96, 3))
    arguments = {"backbone": fixed, "light": True, "classes": 2}
    with pytest.raises(ValueError, match=r"'light' takes only images of 64x96.*NonexNone"):
        AttaNet(**arguments)
    model = AttaNet(input_shape=(64, 96, 3), **arguments)
    assert model.output_shape == (None, 64, 96, 2)


@pytest.mark.once
@pytest.mark.parametrize("size", [(None, None), (64, 64)])
def test_canet_refuses_other_strides(size, shapes_only):
    dilated = backbones.ResNet18(output_stride=16)
    with pytest.raises(ValueError, match=r"has \{'P4': 16, 'P5': 16\}. Build it without"):
        CANet(backbone=dilated, input_shape=(*size, 3))


@with_cases
def test_a_frozen_backbone_neither_learns_nor_moves_its_statistics(make, rng):
    model = make(freeze_backbone=True)
    backbone = model.get_layer("tiny")
    assert not backbone.trainable_weights
    assert model.trainable_weights
    before = [to_numpy(weight).copy() for weight in backbone.weights]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = rng.normal(size=(2, 32, 48, 3)).astype("float32")
    model.fit(images, np.zeros((2, 32, 48), "int32"), verbose=0)
    for weight, value in zip(backbone.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)


@pytest.mark.once
@pytest.mark.parametrize(
    "name",
    ["df1", "efficientnet_lite0", "light", "mobilenet_v2", "resnet18", "shufflenet_v2", "stdc1"],
)
def test_an_input_tensor_may_have_a_size_and_layers_before_it(name, shapes_only):
    image = keras.Input((64, 96, 3), name="photo")
    scaled = keras.layers.Rescaling(0.5, name="half")(image)
    model = BACKBONES[name](input_tensor=scaled)
    assert model.inputs[0] is image
    assert model.get_layer("half").output is scaled
    assert model.output["P4"].shape[1:3] == (4, 6)
    assert BACKBONES[name](input_tensor=image).inputs[0] is image
