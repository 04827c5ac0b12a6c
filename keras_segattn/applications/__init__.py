"""Networks, as functions that return functional models."""

from keras_segattn.applications import canet, ccnet
from keras_segattn.applications.canet import CANet
from keras_segattn.applications.ccnet import CCNet

__all__ = ["CANet", "CCNet", "canet", "ccnet"]
