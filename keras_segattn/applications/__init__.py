"""Networks, as functions that return functional models."""

from keras_segattn.applications import canet
from keras_segattn.applications.canet import CANet

__all__ = ["CANet", "canet"]
