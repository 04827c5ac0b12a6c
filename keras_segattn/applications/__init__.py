"""Networks, as functions that return functional models."""

from keras_segattn.applications import attanet, canet, ccnet, cross_cbam
from keras_segattn.applications.attanet import AttaNet
from keras_segattn.applications.canet import CANet
from keras_segattn.applications.ccnet import CCNet
from keras_segattn.applications.cross_cbam import CrossCBAM
from keras_segattn.applications.deep_supervision import DeepSupervision
from keras_segattn.applications.segmentation_model import SegmentationModel

__all__ = [
    "AttaNet",
    "CANet",
    "CCNet",
    "CrossCBAM",
    "DeepSupervision",
    "SegmentationModel",
    "attanet",
    "canet",
    "ccnet",
    "cross_cbam",
]
