"""Known sources' weight names for our layers, backbones and networks."""

from keras_segattn.weights.naming import (
    attanet,
    ccnet,
    efficientnet_lite,
    layers,
    mask_rcnn,
    stdc_seg,
    torchvision,
)
from keras_segattn.weights.naming.backbone_archives import archive

# Functions from the paths of a target's weights to a `Naming`, or `None` if they do not apply.
NAMINGS = (
    torchvision.resnet,
    torchvision.mobilenet_v2,
    torchvision.shufflenet_v2,
    efficientnet_lite.efficientnet_lite,
    stdc_seg.stdc,
    ccnet.network,
    ccnet.head,
    attanet.network,
    attanet.light_backbone,
    mask_rcnn.published,
    mask_rcnn.current,
    mask_rcnn.maskrcnn_benchmark,
    *layers.NAMINGS,
    archive,
)

__all__ = ["NAMINGS"]
