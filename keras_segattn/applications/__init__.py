"""Networks, as functions that return functional models."""

from keras_segattn.applications import canet, cross_cbam
from keras_segattn.applications.canet import CANet
from keras_segattn.applications.cross_cbam import CrossCBAM

__all__ = ["CANet", "CrossCBAM", "canet", "cross_cbam"]
