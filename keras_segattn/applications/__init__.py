"""Networks, as functions that return functional models."""

from keras_segattn.applications import attanet, canet, ccnet, cross_cbam, mask_rcnn
from keras_segattn.applications.attanet import AttaNet
from keras_segattn.applications.canet import CANet
from keras_segattn.applications.ccnet import CCNet
from keras_segattn.applications.cross_cbam import CrossCBAM
from keras_segattn.applications.deep_supervision import DeepSupervision
from keras_segattn.applications.instance_segmentation_model import InstanceSegmentationModel
from keras_segattn.applications.mask_rcnn import MaskRCNN
from keras_segattn.applications.segmentation_model import SegmentationModel

__all__ = [
    "AttaNet",
    "CANet",
    "CCNet",
    "CrossCBAM",
    "DeepSupervision",
    "InstanceSegmentationModel",
    "MaskRCNN",
    "SegmentationModel",
    "attanet",
    "canet",
    "ccnet",
    "cross_cbam",
    "mask_rcnn",
]
