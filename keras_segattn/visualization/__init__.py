"""Pictures of masks, errors, scores, training and attention.

Figures are drawn with matplotlib: the extra `visualization`.
"""

from keras_segattn.visualization.attention import (
    attention_layers,
    attention_maps,
    model_attention,
)
from keras_segattn.visualization.attention_pictures import heat_map, plot_attention
from keras_segattn.visualization.confusion_matrix import plot_confusion_matrix
from keras_segattn.visualization.history import plot_history
from keras_segattn.visualization.mask_pictures import plot_overlay, plot_predictions
from keras_segattn.visualization.masks import error_map, overlay_mask
from keras_segattn.visualization.prediction_pictures import PredictionPictures

__all__ = [
    "PredictionPictures",
    "attention_layers",
    "attention_maps",
    "error_map",
    "heat_map",
    "model_attention",
    "overlay_mask",
    "plot_attention",
    "plot_confusion_matrix",
    "plot_history",
    "plot_overlay",
    "plot_predictions",
]
