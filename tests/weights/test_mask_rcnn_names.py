"""torchvision's Mask R-CNN loaded into ours."""

import functools
import re

import keras
import numpy as np
import pytest

from keras_segattn.applications import MaskRCNN
from keras_segattn.backbones.resnet import _basic_block, _bottleneck, _resnet
from keras_segattn.weights import load_torch_state_dict
from keras_segattn.weights.naming.mask_rcnn import maskrcnn_benchmark
from keras_segattn.weights.preprocessing import IMAGENET, MSRA
from keras_segattn.weights.slot import layers_with_weights, slots_of
from tests.training import randomize, to_numpy
from tests.weights.cases import state_dict_of

WIDTH, UNITS, LEVELS = 4, 6, (4, 8, 16, 32)


def tiny(classes=2, block=_basic_block, **options):
    backbone = _resnet(
        block, (1,) * 4, (None, None, 3), 32, "standard", None, None, "tiny", width=4
    )
    sizes = {"filters": WIDTH, "units": UNITS, "proposals": 5, "detections": 5}
    return MaskRCNN(backbone=backbone, classes=classes, **{"aligned": False, **sizes, **options})


def shapes(published):
    """Names and shapes as torchvision's code makes them, without the body."""

    def conv(name, outputs, inputs, size):
        return {f"{name}.weight": (outputs, inputs, size, size), f"{name}.bias": (outputs,)}

    def dense(name, outputs, inputs):
        return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

    end, rpn = ("", "rpn.head.conv") if published else (".0", "rpn.head.conv.0.0")
    names = {}
    for i, channels in enumerate(LEVELS):
        names |= conv(f"backbone.fpn.inner_blocks.{i}{end}", WIDTH, channels, 1)
        names |= conv(f"backbone.fpn.layer_blocks.{i}{end}", WIDTH, WIDTH, 3)
        mask = f"mask_fcn{i + 1}" if published else f"{i}.0"
        names |= conv(f"roi_heads.mask_head.{mask}", WIDTH, WIDTH, 3)
    names |= conv(rpn, WIDTH, WIDTH, 3)
    names |= conv("rpn.head.cls_logits", 3, WIDTH, 1)
    names |= conv("rpn.head.bbox_pred", 12, WIDTH, 1)
    names |= dense("roi_heads.box_head.fc6", UNITS, WIDTH * 49)
    names |= dense("roi_heads.box_head.fc7", UNITS, UNITS)
    names |= dense("roi_heads.box_predictor.cls_score", 3, UNITS)
    names |= dense("roi_heads.box_predictor.bbox_pred", 12, UNITS)
    names |= conv("roi_heads.mask_predictor.conv5_mask", WIDTH, WIDTH, 2)
    return names | conv("roi_heads.mask_predictor.mask_fcn_logits", 3, WIDTH, 1)


def checkpoint(rng, published=True):
    body = tiny().get_layer("backbone")
    randomize(body, rng)
    state_dict = {f"backbone.body.{key}": value for key, value in state_dict_of(body).items()}
    values = {name: rng.normal(size=shape) for name, shape in shapes(published).items()}
    return {**state_dict, **values}


@pytest.mark.parametrize("published", [True, False])
def test_heads_compute_what_torchvision_computes(published, rng):
    model, state_dict = tiny(), checkpoint(rng, published)
    load_torch_state_dict(model, state_dict)
    # Dense layers read a map with channels first there.
    maps = rng.normal(size=(1, 2, 7, 7, WIDTH)).astype("float32")
    logits, deltas = (to_numpy(x) for x in model.get_layer("box_head")(maps))
    x = np.moveaxis(maps, -1, 2).reshape(1, 2, -1)
    for name in ("fc6", "fc7"):
        head = f"roi_heads.box_head.{name}"
        x = np.maximum(x @ state_dict[f"{head}.weight"].T + state_dict[f"{head}.bias"], 0)
    for name, got in (("cls_score", logits), ("bbox_pred", deltas.reshape(1, 2, 12))):
        head = f"roi_heads.box_predictor.{name}"
        want = x @ state_dict[f"{head}.weight"].T + state_dict[f"{head}.bias"]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    # A transposed convolution of stride 2 is a matrix product for each corner of a position.
    kernel = state_dict["roi_heads.mask_predictor.conv5_mask.weight"]
    pixel = rng.normal(size=(1, 1, 1, WIDTH)).astype("float32")
    got = to_numpy(keras.ops.relu(model.get_layer("mask_head").upsample(pixel)))
    want = np.einsum("i,iohw->hwo", pixel[0, 0, 0], kernel)
    want = np.maximum(want + state_dict["roi_heads.mask_predictor.conv5_mask.bias"], 0)
    np.testing.assert_allclose(got[0], want, rtol=1e-4, atol=1e-4)


@pytest.mark.once
def test_every_weight_is_loaded(rng):
    model, state_dict = tiny(), checkpoint(rng)
    assert sum(value.size for value in state_dict.values()) == model.count_params()
    load_torch_state_dict(model, state_dict)
    lateral = to_numpy(model.get_layer("pyramid").lateral["P4"].kernel)[0, 0].T
    wanted = state_dict["backbone.fpn.inner_blocks.2.weight"][..., 0, 0]
    np.testing.assert_allclose(lateral, wanted, rtol=1e-6)


@pytest.mark.once
def test_other_classes_and_missing_weights(rng):
    model, state_dict = tiny(classes=5), checkpoint(rng)
    names = "box_head/classifier, box_head/deltas, mask_head/classifier"
    with pytest.warns(UserWarning, match=f"number of classes.*everything but {names} was"):
        load_torch_state_dict(model, state_dict)
    del state_dict["rpn.head.conv.bias"]
    with pytest.raises(ValueError, match=r"rpn\.head\.conv\.bias is missing"):
        load_torch_state_dict(tiny(), state_dict)


def benchmark_name(name):
    """maskrcnn-benchmark's name of a weight that torchvision published."""
    for own, theirs in (
        (r"backbone\.body\.(conv1|bn1)", r"backbone.body.stem.\1"),
        (r"roi_heads\.(box|mask)_head", r"roi_heads.\1.feature_extractor"),
        (r"roi_heads\.(box|mask)_predictor", r"roi_heads.\1.predictor"),
    ):
        name = re.sub(own, theirs, name)
    for number in range(4):
        name = name.replace(f"fpn.inner_blocks.{number}", f"fpn.fpn_inner{number + 1}")
        name = name.replace(f"fpn.layer_blocks.{number}", f"fpn.fpn_layer{number + 1}")
    return f"module.{name}"


@pytest.mark.once
def test_names_of_maskrcnn_benchmark(rng):
    state_dict = checkpoint(rng)
    benchmark = {benchmark_name(name): value for name, value in state_dict.items()}
    benchmark["module.rpn.anchor_generator.cell_anchors.0"] = np.zeros((3, 4))
    for name in (
        "backbone.body.stem.conv1.weight",
        "backbone.body.layer1.0.conv1.weight",
        "backbone.fpn.fpn_inner4.bias",
        "backbone.fpn.fpn_layer1.weight",
        "rpn.head.conv.weight",
        "roi_heads.box.feature_extractor.fc6.weight",
        "roi_heads.box.predictor.cls_score.bias",
        "roi_heads.mask.feature_extractor.mask_fcn1.weight",
        "roi_heads.mask.predictor.mask_fcn_logits.bias",
    ):
        assert f"module.{name}" in benchmark
    want, got = tiny(), tiny(anchor_style="maskrcnn_benchmark", preprocessing=MSRA)
    load_torch_state_dict(want, state_dict)
    load_torch_state_dict(got, benchmark)
    for one, other in zip(got.weights, want.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other), one.path)


@pytest.mark.once
def test_what_else_maskrcnn_benchmark_has_is_told(rng):
    right = {"aligned": False, "anchor_style": "maskrcnn_benchmark", "preprocessing": MSRA}
    strided = functools.partial(_bottleneck, stride_in_1x1=True)
    model = tiny(block=strided, **right)
    randomize(model, rng)
    state_dict = {}
    naming = maskrcnn_benchmark(list(layers_with_weights(model)))
    for slot in slots_of(layers_with_weights(model), naming):
        state_dict[slot.key] = np.zeros(slot.torch_shape)
    load_torch_state_dict(model, state_dict)
    for other, message in (
        ({"block": _bottleneck}, "stride_in_1x1=True"),
        ({"aligned": True}, "aligned=False"),
        ({"anchor_style": "torchvision"}, "anchor_style='maskrcnn_benchmark'"),
        ({"preprocessing": IMAGENET}, r"preprocessing=keras_segattn\.weights\..*MSRA"),
    ):
        model = tiny(**{"block": strided, **right, **other})
        with pytest.warns(UserWarning, match=f"computes something else .*{message}") as told:
            load_torch_state_dict(model, state_dict)
        assert str(told[0].message).count("pass ") == 1


@pytest.mark.once
def test_the_preprocessing_of_maskrcnn_benchmark(rng):
    image = rng.integers(0, 256, (1, 4, 5, 3), dtype="uint8")
    want = image[..., ::-1] - np.array([102.9801, 115.9465, 122.7717])
    np.testing.assert_allclose(to_numpy(MSRA(image)), want, atol=1e-4)
