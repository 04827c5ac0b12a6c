"""The confusion matrix of a segmentation, and the scores computed from it."""

import math

import keras
import numpy as np
from keras import ops

from keras_segattn.arguments import check_choice
from keras_segattn.ground_truth import (
    check_labels,
    expand_sample_weight,
    match_shapes,
    split_labels,
)
from keras_segattn.task import TASKS, as_logits, check_threshold, labels_of_mask

# float32 counts up to 2^24 without a gap, so a count is kept in two numbers: `high * WORD + low`.
# The replicas of a strategy add up their `low`, which is exact for 256 of them.
WORD = 2**16
# Pixels that are counted in one float32 number.
CHUNK = 2**22


@keras.saving.register_keras_serializable(package="keras_segattn")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts the pixels of each true class (row) that were given each class (column).

    `matrix[i, j] = |{p : y(p) = i and argmax_c x(p)_c = j}|` over all pixels `p` that are not void.
    A binary network gives the classes 0 and 1, by its threshold. With several labels per pixel
    there is such a matrix of 0 and 1 for each class. `confusion_scores` reads the intersection over
    union, the F1 score and others from it.

    The counts are exact up to 2^40 pixels on every backend, in mixed precision too. `result` rounds
    them to float32 as compiled code needs it, `counts` returns them as they are.

    Args:
        num_classes: Integer, the number of classes; 2 with `"binary"`.
        ignore_class: Integer, the label of void pixels, which are left out. Defaults to `255`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `"multiclass"`.
        threshold: Float between 0 and 1, the probability above which a binary or multilabel network
            gives a class; or a sequence of one per class. Defaults to `None`, which is 0.5.
        from_logits: Boolean, whether a binary or multilabel network returns logits rather than
            probabilities. Defaults to `None`, which is `True`; the best class is the same of both.
        name: Name of the metric. Defaults to `"confusion_matrix"`.
        **kwargs: `dtype`, as in every Keras metric.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`;
            with several labels per pixel 0 and 1 of shape `(batch, height, width, num_classes)`.
        y_pred: Logits or probabilities of shape `(batch, height, width, num_classes)`, of one
            channel for a binary network.

    Returns:
        float32 tensor of shape `(num_classes, num_classes)`, or `(num_classes, 2, 2)` with
        `"multilabel"`.

    Raises:
        ValueError: If shapes or the number of classes do not fit, or a label in a NumPy array is
            neither a class nor void. In a tensor such a label makes the result NaN, and so do NaN
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
        super().__init__(name=name, **kwargs)
        check_choice("task", task, TASKS)
        if task == "multiclass" and num_classes < 2:
            raise ValueError(
                "`num_classes` must be at least 2: with one, every pixel is right. For foreground "
                f"and background pass task='binary' and num_classes=2. Received: {num_classes}"
            )
        if task == "binary" and num_classes != 2:
            raise ValueError(
                "A binary network has two classes, background and foreground: pass num_classes=2. "
                f"Received: {num_classes}"
            )
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        self.task = task
        self.threshold = check_threshold(task, threshold, num_classes)
        self.from_logits = from_logits if task == "multiclass" else from_logits is not False
        values = labels_of_mask(task, num_classes)
        shape = (num_classes, 2, 2) if task == "multilabel" else (values, values)
        self.low, self.high = (
            self.add_variable(shape=shape, initializer="zeros", dtype="float32", name=name)
            for name in ("low", "high")
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the pixels of a batch.

        Args:
            y_true: Integer labels of shape `(batch, height, width)`, as the task has them.
            y_pred: Logits of shape `(batch, height, width, num_classes)`.
            sample_weight: Weight of each image, of shape `(batch,)`, or of each pixel, of shape
                `(batch, height, width)`. Defaults to `None`, one each.
        """
        values = labels_of_mask(self.task, self.num_classes)
        if isinstance(y_true, (list, np.ndarray)):
            check_labels(y_true, values, self.ignore_class)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        channels = 1 if self.task == "binary" else self.num_classes
        y_true = match_shapes(y_true, y_pred, channels, self.task)
        labels, valid, faulty = split_labels(y_true, values, self.ignore_class)
        sample_weight = expand_sample_weight(sample_weight, len(y_pred.shape) - 1)
        predicted, unknown = self._predicted(y_pred)
        cells = labels * values + predicted
        if self.task == "multilabel":
            # Each class has a matrix of its own.
            cells = cells + 4 * ops.arange(self.num_classes, dtype="int32")
            if sample_weight is not None:
                sample_weight = ops.expand_dims(sample_weight, axis=-1)
        faulty = ops.logical_or(faulty, ops.logical_and(valid, unknown))
        weights = ops.cast(valid, "float32")
        if sample_weight is not None:
            weights = weights * sample_weight
        self._add(cells, weights)
        self.low.assign(self.low + ops.where(ops.any(faulty), float("nan"), 0.0))

    def _predicted(self, y_pred):
        """Returns the predicted labels, and where the network returns NaN."""
        nan = ops.isnan(y_pred)
        if self.task == "multiclass":
            return ops.cast(ops.argmax(y_pred, axis=-1), "int32"), ops.any(nan, axis=-1)
        least = as_logits(self.threshold) if self.from_logits else self.threshold
        predicted = ops.cast(ops.cast(y_pred, "float32") > ops.array(least, "float32"), "int32")
        if self.task == "binary":
            return predicted[..., 0], nan[..., 0]
        return predicted, nan

    def _add(self, cells, weights):
        cells, weights = ops.reshape(cells, (-1,)), ops.reshape(weights, (-1,))
        pixels = ops.shape(cells)[0]
        chunks = (pixels + CHUNK - 1) // CHUNK
        count = math.prod(self.low.shape)
        cells = cells + count * (ops.arange(pixels, dtype="int32") // CHUNK)
        sums = ops.segment_sum(weights, cells, num_segments=chunks * count)
        sums = ops.reshape(sums, (-1, *self.low.shape))
        words = ops.floor(sums / WORD)
        low = self.low + ops.sum(sums - words * WORD, axis=0)
        carry = ops.floor(low / WORD)
        self.low.assign(low - carry * WORD)
        self.high.assign_add(ops.sum(words, axis=0) + carry)

    def result(self):
        return self.high * WORD + self.low

    def counts(self):
        """Returns the counts as an array of int64, or of float64 after fractional sample weights.

        Raises:
            ValueError: If a label was neither a class nor void, or logits were NaN.
        """
        low, high = (ops.convert_to_numpy(word).astype("float64") for word in (self.low, self.high))
        matrix = high * WORD + low
        if np.isnan(matrix).any():
            raise ValueError(
                "A label was neither a class from 0 to "
                f"{labels_of_mask(self.task, self.num_classes) - 1} nor void "
                f"({self.ignore_class}), or the logits of a pixel were NaN."
            )
        rounded = matrix.astype("int64")
        return rounded if np.array_equal(rounded, matrix) else matrix

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "ignore_class": self.ignore_class,
            "task": self.task,
            "threshold": self.threshold,
            "from_logits": self.from_logits,
        }
