"""The confusion matrix of a segmentation."""

import keras
from keras import ops

from keras_segattn.metrics.pixel_counts import PixelCounts


@keras.saving.register_keras_serializable(package="keras_segattn")
class ConfusionMatrix(PixelCounts):
    """Counts the pixels of each true class (row) by predicted class (column).

    `matrix[i, j] = |{p : y(p) = i and argmax_c x(p)_c = j}|` over all pixels `p` that are not void.
    A binary network predicts the classes 0 and 1 by its threshold. For multilabel masks, each class
    has its own matrix of 0 and 1. `confusion_scores` computes the intersection over union, the F1
    score and others from the matrix.

    The counts are exact up to 2^40 pixels on every backend, even in mixed precision. `result`
    rounds them to float32 for compiled code; `counts` returns the exact counts.

    Args:
        num_classes: Integer, the number of classes; 2 with `"binary"`.
        ignore_class: Integer, the label of void pixels; they are ignored. Defaults to `255`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `"multiclass"`.
        threshold: Float between 0 and 1, the probability above which a binary or multilabel network
            predicts a class; or a sequence of one per class. Defaults to `None`, which means 0.5.
        from_logits: Boolean, whether a binary or multilabel network returns logits rather than
            probabilities. Defaults to `None`, which means `True`. A multiclass network has the same
            best class either way.
        name: Name of the metric. Defaults to `"confusion_matrix"`.
        **kwargs: `dtype`, as in every Keras metric.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`; for
            multilabel masks, zeros and ones of shape `(batch, height, width, num_classes)`. A JAX
            tensor made from labels of 64 bits is already cut to 32 bits, so pass NumPy arrays.
        y_pred: Logits or probabilities of shape `(batch, height, width, num_classes)`, with one
            channel for a binary network.

    Returns:
        float32 tensor of shape `(num_classes, num_classes)`, or `(num_classes, 2, 2)` with
        `"multilabel"`.

    Raises:
        ValueError: If shapes or the number of classes do not fit, or a label in a NumPy array is
            neither a class nor void. In a tensor, such a label makes the result NaN, as do NaN
            logits of a pixel that is not void.

    Example:

    >>> metric = ConfusionMatrix(num_classes=2)
    >>> metric.update_state(np.array([[[0, 1, 255]]]), np.eye(2)[[[[0, 0, 1]]]])
    >>> metric.counts().tolist()
    [[1, 0], [1, 0]]
    """

    def __init__(
        self,
        num_classes,
        ignore_class=255,
        task="multiclass",
        threshold=None,
        from_logits=None,
        name="confusion_matrix",
        **kwargs,
    ):
        shape = (num_classes, 2, 2) if task == "multilabel" else (num_classes, num_classes)
        super().__init__(
            shape, num_classes, ignore_class, task, threshold, from_logits, name=name, **kwargs
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the pixels of a batch.

        Args:
            y_true: Integer labels of shape `(batch, height, width)`, or another shape of the task.
            y_pred: Logits of shape `(batch, height, width, num_classes)`.
            sample_weight: Weight of each image, of shape `(batch,)`, or of each pixel, of shape
                `(batch, height, width)`. Defaults to `None`, which means 1.
        """
        y_pred, labels, weights = self.read(y_true, y_pred, sample_weight)
        cells = labels * self.labels + self.predicted(y_pred)
        if self.task == "multilabel":
            # Each class has its own matrix.
            cells = cells + 4 * ops.arange(self.num_classes, dtype="int32")
        self.add(cells, weights)

    def result(self):
        return self.total()
