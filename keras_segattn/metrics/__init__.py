"""Metrics of segmentation, all read from one confusion matrix without void pixels."""

from keras_segattn.metrics.confusion_matrix import ConfusionMatrix
from keras_segattn.metrics.scores import confusion_scores
from keras_segattn.metrics.segmentation_scores import SegmentationScores

__all__ = ["ConfusionMatrix", "SegmentationScores", "confusion_scores"]
