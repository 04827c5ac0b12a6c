"""Share of the pixels that are right, void left out."""

import keras
from keras import ops

from keras_segattn.metrics.confusion_matrix import ConfusionMatrix


@keras.saving.register_keras_serializable(package="keras_segattn")
class PixelAccuracy(ConfusionMatrix):
    """Share of the pixels whose highest logit is that of their label ("global accuracy").

    `accuracy = trace(matrix) / sum(matrix)`, of the confusion matrix without void pixels. Keras's
    `SparseCategoricalAccuracy` counts void pixels as wrong.

    Args:
        num_classes: Integer, the number of classes.
        ignore_class: Integer, the label of void pixels, which are left out. Defaults to `255`.
        name: Name of the metric. Defaults to `"pixel_accuracy"`.
        **kwargs: `dtype`, as in every Keras metric.

    Returns:
        Scalar between 0 and 1; 0 before any pixel was counted.

    Example:

    >>> metric = PixelAccuracy(num_classes=2)
    >>> metric.update_state(np.array([[[0, 1, 255]]]), np.eye(2)[[[[0, 0, 1]]]])
    >>> float(metric.result())
    0.5
    """

    def __init__(self, num_classes, ignore_class=255, name="pixel_accuracy", **kwargs):
        super().__init__(num_classes, ignore_class=ignore_class, name=name, **kwargs)

    def result(self):
        total = ops.sum(self.matrix)
        return ops.trace(self.matrix) / ops.where(total > 0, total, 1.0)
