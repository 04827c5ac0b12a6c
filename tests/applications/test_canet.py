import keras
import numpy as np
import pytest

from keras_segattn.applications import CANet, canet
from keras_segattn.backbones import ResNet18
from keras_segattn.flops import count_flops
from tests.applications.cases import tiny_backbone


def parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


# The counts of the papers' networks are in docs/networks.md, and a test counts them again.
@pytest.mark.once
@pytest.mark.parametrize(
    ("backbone", "camvid"),
    [("mobilenet_v2", 4_750_285), ("resnet18", 15_749_517), ("resnet101", 68_308_365)],
)
def test_trainable_parameters_with_the_classes_of_camvid(backbone, camvid, shapes_only):
    assert parameters(CANet(backbone=backbone, classes=11)) == camvid


def test_macs_leave_the_model_as_it_was(rng):
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    images = rng.normal(size=(1, 32, 32, 3)).astype("float32")
    before = model.predict(images, verbose=0)
    assert count_flops(model, (64, 64, 3)) == 4 * count_flops(model, (32, 32, 3)) - 3 * 2 * 16**2
    np.testing.assert_array_equal(model.predict(images, verbose=0), before)
    assert not any("call" in vars(layer) for layer in model._flatten_layers())


@pytest.mark.once
@pytest.mark.parametrize(
    ("fusion", "parameters_of_fusion"),
    [
        ("concatenation", 0),
        ("convolution", 512 * 256 * 9 + 256 * 256 * 9 + 4 * 256),
        ("spatial", 1_838_594 - 65_792),
        ("channel_spatial", 1_838_594),
        ("parallel", 1_838_594),
        ("spatial_channel", 1_838_594),
    ],
)
def test_ablations_of_table_1(fusion, parameters_of_fusion, shapes_only):
    model = CANet(fusion=fusion)
    classifier = 19 * (512 if fusion == "concatenation" else 256) + 19
    branches = 45_696 + 1_811_712 + 461_120 + 590_336
    assert parameters(model) == branches + parameters_of_fusion + classifier


@pytest.mark.once
def test_separable_branch_with_resnet_is_the_text_of_the_paper(shapes_only):
    """The near miss of the specification: 15.426M, which Table 2 rules out."""
    assert (
        round(parameters(CANet(backbone="resnet18", spatial_branch="separable")) / 1e6, 3) == 15.426
    )


@pytest.mark.once
@pytest.mark.parametrize("size", [(713, 713), (769, 769), (360, 480)])
def test_sizes_of_the_paper_that_32_does_not_divide(size, shapes_only):
    assert CANet(input_shape=(*size, 3)).output_shape == (None, *size, 19)


def test_own_backbone_shares_its_weights(shapes_only):
    backbone = ResNet18()
    model = CANet(backbone=backbone, filters=16, up_channels=8)
    assert {id(weight) for weight in model.get_layer("resnet18").weights} == {
        id(weight) for weight in backbone.weights
    }


def test_backbone_of_other_channels_is_refused(shapes_only):
    with pytest.raises(ValueError, match="takes images of 3 channels, not the 4"):
        CANet(backbone=ResNet18(), input_shape=(None, None, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fusion": "sum"}, "`fusion` must be one of .*'sum'"),
        ({"spatial_branch": "wide"}, "`spatial_branch` must be .*'wide'"),
        ({"classes": 0}, "`classes` must be at least 1. Received: 0"),
    ],
)
def test_refusals_name_the_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        CANet(**arguments)


def test_preprocess_input_is_that_of_torchvision(rng):
    images = rng.integers(0, 256, (2, 4, 5, 3), dtype="uint8")
    want = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    got = canet.preprocess_input(images, data_format="channels_last")
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, want, atol=1e-5)
    tensor = canet.preprocess_input(keras.ops.convert_to_tensor(images))
    assert keras.ops.is_tensor(tensor)
    with pytest.raises(ValueError, match="channels first is not supported"):
        canet.preprocess_input(images, data_format="channels_first")
    with pytest.raises(ValueError, match=r"`data_format` must be one of .* Received: 'bogus'"):
        canet.preprocess_input(images, data_format="bogus")
    with pytest.raises(ValueError, match=r"\(2, 4, 5, 4\)"):
        canet.preprocess_input(np.zeros((2, 4, 5, 4)))
