"""Networks, as functions that return functional models."""

from keras_segattn.applications import attanet, canet, ccnet
from keras_segattn.applications.attanet import AttaNet
from keras_segattn.applications.canet import CANet
from keras_segattn.applications.ccnet import CCNet

__all__ = ["AttaNet", "CANet", "CCNet", "attanet", "canet", "ccnet"]
