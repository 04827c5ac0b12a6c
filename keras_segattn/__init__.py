"""Attention-based semantic segmentation for Keras 3.

Rooms of the house:

- `layers`: attention layers and the blocks around them.
- `backbones`: feature pyramids P2 to P5, by name or from other libraries.
- `applications`: the networks, as functions that return functional models.
- `weights`: reading pretrained weights into backbones.
- `losses`, `metrics`, `callbacks`: what Keras lacks.
- `data`: data sets, paired augmentation, input pipelines.
- `inference`: from any image to its classes.
- `visualization`: masks over images, training curves.
- `export`: SavedModel, ONNX, LiteRT, OpenVINO and TensorRT, verified.
- `flops`: operations of a model, counted as the papers count them.
"""

from keras_segattn import (
    applications,
    backbones,
    callbacks,
    data,
    export,
    flops,
    inference,
    layers,
    losses,
    metrics,
    visualization,
    weights,
)
from keras_segattn.version import __version__

__all__ = [
    "__version__",
    "applications",
    "backbones",
    "callbacks",
    "data",
    "export",
    "flops",
    "inference",
    "layers",
    "losses",
    "metrics",
    "visualization",
    "weights",
]
