"""Base class of the metrics: exact counts of non-void pixels, for each task."""

import math

import keras
import numpy as np
from keras import ops

from keras_segattn.arguments import check_choice
from keras_segattn.ground_truth import (
    check_labels,
    check_logits,
    expand_sample_weight,
    is_softmax,
    match_shapes,
    split_labels,
)
from keras_segattn.task import TASKS, as_logits, check_threshold, labels_of_mask

# float32 counts exactly only up to 2^24, so a count is stored as two numbers, `high * WORD + low`.
# The replicas of a strategy add their `low` parts; the sum is exact for up to 256 replicas.
WORD = 2**16
# Number of pixels counted in one float32 number.
CHUNK = 2**22


class PixelCounts(keras.metrics.Metric):
    """Pixel counts in cells, exact up to 2^40 on every backend.

    A subclass calls `read` and `add` in `update_state`, and reads `total`.

    Args:
        shape: Tuple, the shape of the cells.
        num_classes: Integer, the number of classes; 2 with `"binary"`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `"multiclass"`.
        threshold: Float between 0 and 1, the probability above which a binary or multilabel network
            predicts a class; or a sequence of one per class. Defaults to `None`, which means 0.5.
        from_logits: Boolean, whether the network returns logits; `None` if it does not matter.
            Defaults to `None`.
        **kwargs: `name` and `dtype`, as in every Keras metric.
    """

    def __init__(
        self,
        shape,
        num_classes,
        ignore_class=255,
        task="multiclass",
        threshold=None,
        from_logits=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_choice("task", task, TASKS)
        if task == "multiclass" and num_classes < 2:
            raise ValueError(
                "`num_classes` must be at least 2: with one class, every pixel is correct. For "
                "foreground and background pass task='binary' and num_classes=2. Received: "
                f"{num_classes}"
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
        self.low, self.high = (
            self.add_variable(shape=shape, initializer="zeros", dtype="float32", name=name)
            for name in ("low", "high")
        )

    @property
    def labels(self):
        """The number of valid labels in a mask, without void."""
        return labels_of_mask(self.task, self.num_classes)

    def read(self, y_true, y_pred, sample_weight=None):
        """Returns the outputs, the labels and the pixel weights.

        Labels and weights have the shape `(batch, height, width)`, or
        `(batch, height, width, classes)` with `"multilabel"`. Invalid labels, NaN outputs and a
        softmax instead of logits make all counts NaN.
        """
        check_logits(y_pred, self.from_logits, self.name, self.task == "multiclass")
        if isinstance(y_true, (list, np.ndarray)):
            check_labels(y_true, self.labels, self.ignore_class)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        channels = 1 if self.task == "binary" else self.num_classes
        y_true = match_shapes(y_true, y_pred, channels, self.task)
        labels, valid, faulty = split_labels(y_true, self.labels, self.ignore_class)
        nan = ops.isnan(y_pred)
        nan = nan if self.task == "multilabel" else ops.any(nan, axis=-1)
        faulty = ops.any(ops.logical_or(faulty, ops.logical_and(valid, nan)))
        if self.from_logits and self.task == "multiclass":
            faulty = ops.logical_or(faulty, is_softmax(y_pred))
        self.low.assign(self.low + ops.where(faulty, float("nan"), 0.0))
        weights = ops.cast(valid, "float32")
        sample_weight = expand_sample_weight(sample_weight, len(y_pred.shape) - 1)
        if sample_weight is not None:
            if self.task == "multilabel":
                sample_weight = ops.expand_dims(sample_weight, axis=-1)
            weights = weights * sample_weight
        return y_pred, labels, weights

    def predicted(self, y_pred):
        """Returns the predicted labels of outputs, as int32 in the shape of the labels."""
        if self.task == "multiclass":
            return ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        least = as_logits(self.threshold) if self.from_logits else self.threshold
        predicted = ops.cast(ops.cast(y_pred, "float32") > ops.array(least, "float32"), "int32")
        return predicted[..., 0] if self.task == "binary" else predicted

    def add(self, cells, weights):
        """Adds weights to the counts of cells, given by their index in the flat counts."""
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

    def total(self):
        """Returns the counts as a float32 tensor, for compiled code."""
        return self.high * WORD + self.low

    def counts(self):
        """Returns the counts as an int64 array, or float64 after fractional sample weights.

        Raises:
            ValueError: If a label was neither a class nor void, logits were NaN, or probabilities
                were counted as logits.
        """
        low, high = (ops.convert_to_numpy(word).astype("float64") for word in (self.low, self.high))
        counts = high * WORD + low
        if np.isnan(counts).any():
            raise ValueError(
                f"A label was neither a class from 0 to {self.labels - 1} nor void "
                f"({self.ignore_class}), the logits of a pixel were NaN, or the outputs of a "
                "softmax were passed instead of logits."
            )
        rounded = counts.astype("int64")
        return rounded if np.array_equal(rounded, counts) else counts

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "ignore_class": self.ignore_class,
            "task": self.task,
            "threshold": self.threshold,
            "from_logits": self.from_logits,
        }
