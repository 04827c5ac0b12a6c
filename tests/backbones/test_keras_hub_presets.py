"""Presets of KerasHub by name, written here from backbones with random weights."""

import sys

import numpy as np
import pytest

from keras_segattn.applications import CANet, CrossCBAM
from keras_segattn.backbones import build_backbone
from keras_segattn.weights.preprocessing import PIXELS
from tests.training import to_numpy


@pytest.fixture
def keras_hub():
    return pytest.importorskip("keras_hub", reason="keras_hub is not installed")


@pytest.fixture
def resnet(keras_hub):
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 8, 16, 16],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )


def test_a_preset_brings_its_weights_and_its_preprocessing(keras_hub, resnet, tmp_path, rng):
    path = str(tmp_path / "preset")
    resnet.save_to_preset(path)
    converter = keras_hub.layers.ResNetImageConverter(
        scale=[0.01, 0.02, 0.03], offset=[-1.0, -2.0, 0.5]
    )
    converter.save_to_preset(path)
    model = CANet(backbone=f"keras_hub/{path}", classes=3, filters=16, freeze_backbone=True)
    inside = model.get_layer(resnet.name)
    for weight in inside.weights:
        (same,) = (other for other in resnet.weights if other.path == weight.path)
        np.testing.assert_array_equal(to_numpy(weight), to_numpy(same))
    images = rng.uniform(0, 255, (1, 45, 70, 3)).astype("float32")
    np.testing.assert_allclose(
        to_numpy(model.preprocessing(images)), to_numpy(converter(images)), atol=1e-4
    )
    assert not inside.trainable_weights
    assert model.predict(images, verbose=0).shape == (1, 45, 70, 3)


def test_a_preset_without_a_converter_takes_pixels(resnet, tmp_path):
    resnet.save_to_preset(str(tmp_path / "preset"))
    assert build_backbone(f"keras_hub/{tmp_path}/preset").preprocessing == PIXELS


def test_weights_of_a_preset_are_not_replaced(resnet, tmp_path):
    resnet.save_to_preset(str(tmp_path / "preset"))
    with pytest.raises(ValueError, match=r"omit `backbone_weights`.*'imagenet'"):
        CANet(backbone=f"keras_hub/{tmp_path}/preset", backbone_weights="imagenet")


@pytest.mark.parametrize("family", ["densenet", "mit"])
def test_backbones_of_other_families(keras_hub, family):
    models = keras_hub.models
    if family == "densenet":
        backbone = models.DenseNetBackbone(
            stackwise_num_repeats=[1, 1, 1, 1], image_shape=(None, None, 3), growth_rate=4
        )
    else:
        backbone = models.MiTBackbone(
            layerwise_depths=[1, 1, 1, 1],
            image_shape=(64, 64, 3),
            hidden_dims=[4, 8, 8, 16],
            num_layers=4,
            layerwise_num_heads=[1, 1, 1, 1],
            layerwise_sr_ratios=[8, 4, 2, 1],
            max_drop_path_rate=0.0,
            layerwise_patch_sizes=[7, 3, 3, 3],
            layerwise_strides=[4, 2, 2, 2],
        )
    model = CrossCBAM(
        backbone=backbone, classes=3, filters=16, reduction=2, input_shape=(64, 64, 3)
    )
    assert model.predict(np.zeros((1, 64, 64, 3)), verbose=0).shape == (1, 64, 64, 3)


@pytest.mark.once
def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r"'keras_hub/resnet_18_imagenet' needs .*\[kerashub\]"):
        CANet(backbone="keras_hub/resnet_18_imagenet")
