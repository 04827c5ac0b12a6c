"""Attention before the last residual block of a stage, and weights loaded around it."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import CCNet
from keras_segattn.backbones import ResNet18, build_backbone
from keras_segattn.backbones.resnet import _bottleneck, _resnet
from keras_segattn.layers import SEASPP, ConvNormAct, CrissCrossAttention, NonLocal
from keras_segattn.weights import load_backbone_weights, load_torch_state_dict
from tests.training import randomize, to_numpy
from tests.weights.cases import state_dict_of

ANY_SIZE = (None, None, 3)


def small_resnet(attention=None, shape=ANY_SIZE):
    """A bottleneck ResNet that is quick to build."""
    return _resnet(
        _bottleneck,
        (2, 2, 3, 2),
        shape,
        32,
        "standard",
        None,
        None,
        "small",
        width=8,
        attention=attention,
    )


def around_attention(model):
    return [weight for weight in model.weights if "attention" not in weight.path]


def assert_same(one, other):
    for a, b in zip(around_attention(one), around_attention(other), strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))


@pytest.fixture
def source(rng):
    model = small_resnet()
    randomize(model, rng)
    return model


@pytest.mark.once
def test_it_stands_before_the_last_block():
    model = small_resnet({"P4": CrissCrossAttention(), "P5": NonLocal()})
    names = [layer.name for layer in model.layers]
    assert names.index("layer3_1_relu") + 1 == names.index("layer3_attention")
    assert names.index("layer3_attention") < names.index("layer3_2_conv1")
    assert names.index("layer4_0_relu") + 1 == names.index("layer4_attention")
    # The residual connection is around the block only.
    assert model.get_layer("layer3_2_add").input[0] is model.get_layer("layer3_attention").output


@pytest.mark.parametrize("attention", [CrissCrossAttention, NonLocal])
def test_without_gamma_the_pretrained_network_is_as_it_was(attention, source, rng):
    model = small_resnet({"P3": attention(reduction=4), "P4": attention()})
    load_torch_state_dict(model, state_dict_of(source))
    images = rng.normal(size=(2, 45, 70, 3)).astype("float32")
    for level, want in source(images).items():
        np.testing.assert_array_equal(to_numpy(model(images)[level]), to_numpy(want))
    model.get_layer("layer3_attention").gamma.assign([0.5])
    after = model(images)
    np.testing.assert_array_equal(to_numpy(after["P3"]), to_numpy(source(images)["P3"]))
    assert np.abs(to_numpy(after["P4"]) - to_numpy(source(images)["P4"])).max() > 1e-3


@pytest.mark.once
@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("suffix", [".npz", ".weights.h5"])
def test_files_of_the_plain_network_are_loaded(suffix, channels, source, tmp_path):
    path = tmp_path / f"plain{suffix}"
    if suffix == ".npz":
        np.savez(path, **state_dict_of(source))
    else:
        source.save_weights(path)
    plain, model = (
        small_resnet(attention, (None, None, channels))
        for attention in (None, {"P4": CrissCrossAttention()})
    )
    load_backbone_weights(plain, path)
    load_backbone_weights(model, path)
    assert_same(plain, model)


@pytest.mark.once
@pytest.mark.parametrize("channels", [3, 1])
def test_files_with_attention_keep_it(channels, rng, tmp_path):
    attention = {"P4": CrissCrossAttention()}
    source, target = small_resnet(attention), small_resnet(attention, (None, None, channels))
    randomize(source, rng)
    source.save_weights(tmp_path / "own.weights.h5")
    load_backbone_weights(target, tmp_path / "own.weights.h5")
    for name in ("gamma", "query", "value"):
        one, other = (getattr(m.get_layer("layer3_attention"), name) for m in (source, target))
        one, other = (getattr(part, "kernel", part) for part in (one, other))
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


@pytest.mark.once
def test_half_of_an_attention_is_refused(source):
    model = small_resnet({"P4": CrissCrossAttention()})
    state_dict = {**state_dict_of(source), "layer3_attention.gamma": np.ones(1)}
    with pytest.raises(ValueError, match=r"layer3_attention\.query\.weight is missing"):
        load_torch_state_dict(model, state_dict)


@pytest.mark.once
def test_networks_and_names_take_it(source, tmp_path):
    np.savez(tmp_path / "plain.npz", **state_dict_of(ResNet18()))
    layer = CrissCrossAttention()
    pyramid = build_backbone(
        "resnet18",
        weights=tmp_path / "plain.npz",
        attention_before_last_block={"P4": layer, "P5": layer},
    )
    # The layer itself stays new.
    assert not layer.built
    assert pyramid.count_params() - ResNet18().count_params() == 82_241 + 328_321
    network = CCNet(backbone=small_resnet({"P4": CrissCrossAttention()}), classes=3, filters=8)
    network.save(tmp_path / "network.keras")
    copy = keras.saving.load_model(tmp_path / "network.keras")
    assert copy.get_layer("small").get_layer("layer3_attention").recurrence == 2


@pytest.mark.once
def test_refusals_name_the_value():
    with pytest.raises(ValueError, match=r"a level of attention_before.* Received: 'res4'"):
        ResNet18(attention_before_last_block={"res4": CrissCrossAttention()})
    with pytest.raises(ValueError, match=r"copies Keras layers.* Received: 'criss_cross'"):
        ResNet18(attention_before_last_block={"P4": "criss_cross"})
    with pytest.raises(ValueError, match=r"SEASPP, which turns \(None, None, None, 64\) into"):
        ResNet18(attention_before_last_block={"P2": SEASPP(8)})
    used = ConvNormAct(64)
    used.build((None, 4, 4, 64))
    with pytest.raises(ValueError, match=r"Received: <ConvNormAct .* with weights"):
        ResNet18(attention_before_last_block={"P2": used})
    with pytest.raises(ValueError, match=r"'df1' has no \['attention_before_last_block'\]"):
        build_backbone("df1", attention_before_last_block={"P4": CrissCrossAttention()})
