"""Pretrained weights: where they are, reading them, and the preprocessing that they expect."""

from keras_segattn.weights.loading import load_backbone_weights
from keras_segattn.weights.preprocessing import Preprocessing
from keras_segattn.weights.torch_checkpoint import load_torch_checkpoint
from keras_segattn.weights.torch_state_dict import load_torch_state_dict

__all__ = [
    "Preprocessing",
    "load_backbone_weights",
    "load_torch_checkpoint",
    "load_torch_state_dict",
]
