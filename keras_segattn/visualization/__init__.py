"""Figures of masks, errors, scores, training and attention.

Figures require matplotlib: install the extra `visualization`.
"""

from typing import TYPE_CHECKING

from keras_segattn.lazy import lazy_imports

if TYPE_CHECKING:
    from keras_segattn.visualization.attention import (
        attention_layers,
        attention_maps,
        model_attention,
    )
    from keras_segattn.visualization.attention_pictures import heat_map, plot_attention
    from keras_segattn.visualization.confusion_matrix import plot_confusion_matrix
    from keras_segattn.visualization.history import plot_history
    from keras_segattn.visualization.mask_pictures import (
        plot_comparison,
        plot_overlay,
        plot_predictions,
    )
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
    "plot_comparison",
    "plot_confusion_matrix",
    "plot_history",
    "plot_overlay",
    "plot_predictions",
]

__getattr__ = lazy_imports(
    __name__,
    {
        "attention_layers": "attention",
        "attention_maps": "attention",
        "model_attention": "attention",
        "heat_map": "attention_pictures",
        "plot_attention": "attention_pictures",
        "plot_confusion_matrix": "confusion_matrix",
        "plot_history": "history",
        "plot_comparison": "mask_pictures",
        "plot_overlay": "mask_pictures",
        "plot_predictions": "mask_pictures",
        "error_map": "masks",
        "overlay_mask": "masks",
        "PredictionPictures": "prediction_pictures",
    },
)
