"""Networks, as functions that return functional models."""

from keras_segattn.applications import attanet, canet
from keras_segattn.applications.attanet import AttaNet
from keras_segattn.applications.canet import CANet

__all__ = ["AttaNet", "CANet", "attanet", "canet"]
