import numpy as np
import pytest

from keras_segattn.applications import CANet
from keras_segattn.backbones import MobileNetV2
from keras_segattn.backbones.resnet import _basic_block, _resnet
from keras_segattn.data import CamVid
from keras_segattn.weights import (
    Preprocessing,
    load_backbone_weights,
    load_torch_state_dict,
)
from keras_segattn.weights.image_channels import adapt_to_channels
from keras_segattn.weights.preprocessing import IMAGENET
from tests.golden import assert_close
from tests.training import randomize, to_numpy
from tests.weights.cases import state_dict_of

pytestmark = pytest.mark.once
TRAINED = ("weights", "mobilenetv2_1.0_torchvision_convbn.npz")


def small(channels=3, stem="standard"):
    shape = (None, None, channels)
    return _resnet(_basic_block, (1,) * 4, shape, 32, stem, None, None, "small", width=8)


def features(model, image):
    pyramid = model(image)
    return {level: to_numpy(pyramid[level]) for level in ("P4", "P5")}


def gray_image(shared):
    image, _ = CamVid(shared("camvid"), "train").read(0)
    return image[:160, :240].mean(-1, keepdims=True).round().astype("uint8")[None]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_equal_channels_give_the_features_of_three(channels, shared):
    weights = shared(*TRAINED)
    image = to_numpy(IMAGENET(np.repeat(gray_image(shared), 3, -1)))[..., :1]
    three = features(MobileNetV2(weights=weights), np.repeat(image, 3, -1))
    model = MobileNetV2(input_shape=(None, None, channels), weights=weights)
    for level, got in features(model, np.repeat(image, channels, -1)).items():
        assert_close(got, three[level])


def backbone_features(channels, shared):
    """Of a gray image as it is stored, through the preprocessing of a network."""
    model = CANet(input_shape=(None, None, channels), classes=2, backbone_weights=shared(*TRAINED))
    image = np.repeat(gray_image(shared), channels, -1)
    return features(model.get_layer("mobilenet_v2"), model.preprocessing(image))


def test_a_grey_image_in_more_channels_gives_the_features_of_its_rgb_copy(shared):
    three = backbone_features(3, shared)
    for level, got in backbone_features(5, shared).items():
        assert_close(got, three[level])


def test_a_grey_image_in_one_channel_gives_the_features_of_its_rgb_copy(shared):
    three = backbone_features(3, shared)
    for level, got in backbone_features(1, shared).items():
        # All that differs is the color of the padding around the image.
        error = np.sqrt(np.mean((got - three[level]) ** 2))
        assert error < 0.03 * three[level].std()


def test_first_block_is_exact_inside_of_the_image(shared):
    weights, image = shared(*TRAINED), gray_image(shared)

    def first_block(channels):
        model = CANet(input_shape=(None, None, channels), classes=2, backbone_weights=weights)
        block = model.get_layer("mobilenet_v2").get_layer("stem")
        return to_numpy(block(model.preprocessing(np.repeat(image, channels, -1))))

    got, want = first_block(1), first_block(3)
    assert_close(got[:, 1:, 1:], want[:, 1:, 1:])
    assert np.abs(got - want).max() > 1e-2


@pytest.mark.parametrize("suffix", [".weights.h5", ".npz"])
def test_every_kind_of_file(suffix, rng, tmp_path):
    source = small()
    randomize(source, rng)
    path = tmp_path / f"backbone{suffix}"
    if suffix == ".npz":
        np.savez(path, **state_dict_of(source))
    else:
        source.save_weights(path)
    model = small(1)
    load_backbone_weights(model, path)
    kernel = to_numpy(source.get_layer("conv1").conv.kernel)
    np.testing.assert_allclose(
        model.get_layer("conv1").conv.kernel, kernel.sum(2, keepdims=True), rtol=1e-5, atol=1e-5
    )
    for one, other in zip(model.weights[1:], source.weights[1:], strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


@pytest.mark.parametrize("channel_order", ["RGB", "BGR"])
def test_more_channels_keep_their_colors(channel_order, rng):
    """Two copies of an RGB image, band after band, give the same result as the image."""
    preprocessing = Preprocessing((0.4, 0.5, 0.6), (0.1, 0.2, 0.3), channel_order)
    image, kernel = rng.integers(0, 256, (2, 2, 3)), rng.normal(size=(1, 1, 3, 4))
    twice = preprocessing.for_channels(6)
    got = to_numpy(twice(np.concatenate([image, image], axis=-1)))
    adapted, constant = adapt_to_channels(kernel, 6, preprocessing)
    want = to_numpy(preprocessing(image)) @ kernel[0, 0]
    np.testing.assert_allclose(got @ adapted[0, 0] + constant, want, rtol=1e-4, atol=1e-4)


def test_other_differences_are_still_errors(rng, tmp_path):
    state_dict = state_dict_of(small())
    one_channel = {**state_dict, "conv1.weight": state_dict["conv1.weight"][:, :1]}
    with pytest.raises(ValueError, match=r"conv1\.weight has shape \(8, 1, 7, 7\)"):
        load_torch_state_dict(small(), one_channel)
    model = small(1)
    before = model.get_weights()
    small(stem="deep").save_weights(tmp_path / "deep.weights.h5")
    with pytest.raises(ValueError):
        load_backbone_weights(model, tmp_path / "deep.weights.h5")
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_preprocessing_of_other_channels():
    assert IMAGENET.for_channels(2).mean == (np.mean(IMAGENET.mean),) * 2
    assert IMAGENET.for_channels(4).mean == (*IMAGENET.mean, IMAGENET.mean[0])
    image = np.full((1, 2, 2, 4), 128, "uint8")
    np.testing.assert_allclose(
        to_numpy(IMAGENET.for_channels(4)(image))[..., :3], to_numpy(IMAGENET(image[..., :3]))
    )
