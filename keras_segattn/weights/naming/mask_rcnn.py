"""torchvision's weight names of its Mask R-CNN, `maskrcnn_resnet50_fpn`."""

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


def published(paths):
    return _naming(paths, PUBLISHED, "torchvision's published Mask R-CNN")


def current(paths):
    return _naming(paths, CURRENT, "torchvision's Mask R-CNN since 0.13")


def _naming(paths, rules, source):
    backbone = below("backbone.body.", resnet, paths)
    rest = by_rules([path for path in paths if not path.startswith("backbone/")], rules)
    if not backbone or not rest:
        return None
    return Naming(source, {**backbone, **rest}, channels_first={"box_head/hidden1": (7, 7)})
