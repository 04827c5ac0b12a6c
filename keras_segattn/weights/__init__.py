"""Loading weights."""

from keras_segattn.weights.loading import load_backbone_weights

__all__ = ["load_backbone_weights"]
