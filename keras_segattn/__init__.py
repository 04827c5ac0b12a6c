"""Attention-based semantic segmentation for Keras 3."""

from keras_segattn import applications, backbones, layers, losses, metrics
from keras_segattn.version import __version__

__all__ = ["__version__", "applications", "backbones", "layers", "losses", "metrics"]
