"""Pretrained weights: sources, readers, and the preprocessing they expect."""

from keras_segattn.weights.backbone_weights import load_backbone_weights
from keras_segattn.weights.checkpoint import load_checkpoint
from keras_segattn.weights.keras_file import load_keras_model
from keras_segattn.weights.preprocessing import Preprocessing
from keras_segattn.weights.torch_state_dict import load_torch_state_dict

__all__ = [
    "Preprocessing",
    "load_backbone_weights",
    "load_checkpoint",
    "load_keras_model",
    "load_torch_state_dict",
]
