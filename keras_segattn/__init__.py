"""Attention-based semantic segmentation for Keras 3.

Subpackages:

- `layers`: attention layers and the blocks around them.
- `backbones`: feature pyramids P2 to P5, by name or from other libraries.
- `detection`: object boxes: proposals, alignment and selection.
- `applications`: the networks, as functions that return functional models.
- `weights`: pretrained weights, torch checkpoints, and the preprocessing they expect.
- `losses`, `metrics`, `optimizers`, `callbacks`: additions to Keras.
- `recipes`, `training`: the papers' settings as data, and training with them.
- `data`: data sets, paired augmentation, input pipelines.
- `images`: reading images and masks.
- `inference`: segmentation of any image.
- `visualization`: figures of masks, errors, training curves and attention.
- `export`: SavedModel, ONNX, LiteRT, OpenVINO and TensorRT, verified.
- `serving`: an exported network behind HTTP.
- `demo`: a page to try it, `keras-segattn demo`.
- `command`: the command `keras-segattn`: train, evaluate, predict, export, serve, demo.
- `flops`: the operations of a model, counted as in the papers.

The main names are also here: `keras_segattn.CANet` is `keras_segattn.applications.CANet`.

Modules shared by the subpackages:

- `arguments`: checks of arguments, with their messages.
- `task`: one class per pixel, foreground or not, or several labels per pixel.
- `ground_truth`: labels, void pixels and sample weights for losses, metrics and data sets.
- `atomic_files`: files that appear complete or not at all.
- `wide_labels`: labels of 64 bits, clipped to 32 bits.
- `spread`: an evenly spread selection of items.
- `wording`: plurals in messages.
- `lazy`, `registration`: names imported on first use, and layers registered with Keras.
"""

from typing import TYPE_CHECKING

from keras_segattn.lazy import lazy_imports
from keras_segattn.registration import import_with_keras
from keras_segattn.version import __version__

if TYPE_CHECKING:
    from keras_segattn import (
        applications,
        backbones,
        callbacks,
        data,
        demo,
        detection,
        export,
        flops,
        images,
        inference,
        layers,
        losses,
        metrics,
        optimizers,
        recipes,
        training,
        visualization,
        weights,
    )

__all__ = [
    "__version__",
    "applications",
    "backbones",
    "callbacks",
    "data",
    "demo",
    "detection",
    "export",
    "flops",
    "images",
    "inference",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "recipes",
    "training",
    "visualization",
    "weights",
]

SUBPACKAGES = [name for name in __all__ if name != "__version__"]
# Names for a first program, imported from their subpackages on first use.
MAIN_NAMES = {
    "AttaNet": "applications",
    "CANet": "applications",
    "CCNet": "applications",
    "CrossCBAM": "applications",
    "DeepSupervision": "applications",
    "SegmentationModel": "applications",
    "SegmentationFolder": "data",
    "ExportedSegmenter": "export",
    "export_model": "export",
    "segment": "inference",
    "DiceLoss": "losses",
    "WeightedCrossEntropy": "losses",
    "SegmentationScores": "metrics",
}
__all__ += MAIN_NAMES
__getattr__ = lazy_imports(__name__, {**dict.fromkeys(SUBPACKAGES), **MAIN_NAMES})
import_with_keras(SUBPACKAGES)
