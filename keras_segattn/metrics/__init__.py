"""Metrics that Keras lacks. For the mean IoU of logits there is
`keras.metrics.MeanIoU(classes, ignore_class=255, sparse_y_pred=False)`."""

from keras_segattn.metrics.confusion_matrix import ConfusionMatrix, scores
from keras_segattn.metrics.pixel_accuracy import PixelAccuracy

__all__ = ["ConfusionMatrix", "PixelAccuracy", "scores"]
