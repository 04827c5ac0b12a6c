"""Pretrained weights: loading them, and the preprocessing that they expect."""

from keras_segattn.weights.loading import load_backbone_weights
from keras_segattn.weights.preprocessing import Preprocessing

__all__ = ["Preprocessing", "load_backbone_weights"]
