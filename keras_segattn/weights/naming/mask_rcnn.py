"""The weight names of torchvision's `maskrcnn_resnet50_fpn` and of maskrcnn-benchmark."""

import dataclasses

from keras_segattn.weights.naming.naming import Naming, below, by_rules
from keras_segattn.weights.naming.torchvision import resnet

HEADS = (
    (r"region_head/objectness", "rpn.head.cls_logits"),
    (r"region_head/deltas", "rpn.head.bbox_pred"),
    (r"box_head/hidden1", "roi_heads.box_head.fc6"),
    (r"box_head/hidden2", "roi_heads.box_head.fc7"),
    (r"box_head/classifier", "roi_heads.box_predictor.cls_score"),
    (r"box_head/deltas", "roi_heads.box_predictor.bbox_pred"),
    (r"mask_head/upsample", "roi_heads.mask_predictor.conv5_mask"),
    (r"mask_head/classifier", "roi_heads.mask_predictor.mask_fcn_logits"),
)


def _index(template, first):
    """Renumbers levels or layers from zero, if they start at `first`."""
    return lambda match: template.format(int(match[1]) - first)


# The published file has these names; torchvision has used others since 0.13.
PUBLISHED = (
    *HEADS,
    (r"pyramid/lateral_P(\d)", _index("backbone.fpn.inner_blocks.{}", 2)),
    (r"pyramid/smooth_P(\d)", _index("backbone.fpn.layer_blocks.{}", 2)),
    (r"region_head/hidden", "rpn.head.conv"),
    (r"mask_head/hidden(\d)", _index("roi_heads.mask_head.mask_fcn{}", 0)),
)
CURRENT = (
    *HEADS,
    (r"pyramid/lateral_P(\d)", _index("backbone.fpn.inner_blocks.{}.0", 2)),
    (r"pyramid/smooth_P(\d)", _index("backbone.fpn.layer_blocks.{}.0", 2)),
    (r"region_head/hidden", "rpn.head.conv.0.0"),
    (r"mask_head/hidden(\d)", _index("roi_heads.mask_head.{}.0", 1)),
)


BENCHMARK = (
    (r"region_head/hidden", "rpn.head.conv"),
    (r"region_head/objectness", "rpn.head.cls_logits"),
    (r"region_head/deltas", "rpn.head.bbox_pred"),
    (r"pyramid/lateral_P(\d)", _index("backbone.fpn.fpn_inner{}", 1)),
    (r"pyramid/smooth_P(\d)", _index("backbone.fpn.fpn_layer{}", 1)),
    (r"box_head/hidden1", "roi_heads.box.feature_extractor.fc6"),
    (r"box_head/hidden2", "roi_heads.box.feature_extractor.fc7"),
    (r"box_head/classifier", "roi_heads.box.predictor.cls_score"),
    (r"box_head/deltas", "roi_heads.box.predictor.bbox_pred"),
    (r"mask_head/hidden(\d)", r"roi_heads.mask.feature_extractor.mask_fcn\1"),
    (r"mask_head/upsample", "roi_heads.mask.predictor.conv5_mask"),
    (r"mask_head/classifier", "roi_heads.mask.predictor.mask_fcn_logits"),
)
STEM = ("conv1", "bn1")
# What its settings have as defaults, and how a network gets it.
ADVICE = {
    "aligned": "it samples maps half a stride to the upper left: pass aligned=False",
    "anchors": "its anchors are others: pass anchor_style='maskrcnn_benchmark'",
    "order": (
        "it reads BGR images less their mean: pass "
        "preprocessing=keras_segattn.weights.preprocessing.MSRA"
    ),
    "stride": (
        "its bottlenecks have their stride on the first 1x1 convolution, unless RESNETS."
        "STRIDE_IN_1X1 is False: pass backbone=ResNet50(stride_in_1x1=True), for example"
    ),
}


def published(paths):
    return _naming(paths, PUBLISHED, "torchvision's published Mask R-CNN")


def current(paths):
    return _naming(paths, CURRENT, "torchvision's Mask R-CNN since 0.13")


def maskrcnn_benchmark(paths):
    found = _naming(paths, BENCHMARK, "maskrcnn-benchmark")
    if found is None:
        return None
    body = "backbone.body."
    modules = {
        path: name.replace(body, f"{body}stem.") if name.removeprefix(body) in STEM else name
        for path, name in found.modules.items()
    }
    # Older checkpoints have their anchors in them.
    return dataclasses.replace(
        found, modules=modules, ignored=r"rpn\.anchor_generator\..*", differences=_differences
    )


def _differences(model):
    later = {"stride": _has_stride_in_3x3(model.get_layer("backbone"))}
    later["anchors"] = model.get_layer("proposals").anchor_style != "maskrcnn_benchmark"
    later["aligned"] = model.get_layer("box_align").aligned
    later["order"] = model.preprocessing.channel_order != "BGR"
    return [ADVICE[name] for name, differs in later.items() if differs]


def _has_stride_in_3x3(backbone):
    # A block of two convolutions has its stride on the first anyway.
    return any(
        layer.name.endswith("_conv2") and layer.strides != 1
        for layer in backbone.layers
        if layer.name.startswith("layer")
    )


def _naming(paths, rules, source):
    backbone = below("backbone.body.", resnet, paths)
    rest = by_rules([path for path in paths if not path.startswith("backbone/")], rules)
    if not backbone or not rest:
        return None
    return Naming(source, {**backbone, **rest}, channels_first={"box_head/hidden1": (7, 7)})
