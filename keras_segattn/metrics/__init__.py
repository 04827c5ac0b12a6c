"""Segmentation metrics that ignore void pixels, most of them read from one confusion matrix."""

from keras_segattn.metrics.boundary_iou import BoundaryIoU
from keras_segattn.metrics.calibration_error import CalibrationError
from keras_segattn.metrics.confusion_matrix import ConfusionMatrix
from keras_segattn.metrics.scores import confusion_scores
from keras_segattn.metrics.segmentation_scores import SegmentationScores

__all__ = [
    "BoundaryIoU",
    "CalibrationError",
    "ConfusionMatrix",
    "SegmentationScores",
    "confusion_scores",
]
