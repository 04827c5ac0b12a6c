"""Base class of this package's losses: tasks, void pixels, class weights, sums of losses."""

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from keras_segattn.ground_truth import (
    check_labels,
    check_logits,
    expand_sample_weight,
    is_softmax,
    match_shapes,
    split_labels,
)
from keras_segattn.losses.sum_of_losses import SumOfLosses
from keras_segattn.task import TASKS, check_task, count_labels, labels_of_mask
from keras_segattn.wording import counted

LEAST_PROBABILITY = 1e-7


class SegmentationLoss(keras.losses.Loss):
    """A loss of masks with void pixels, for one or several tasks.

    A label that is neither a class nor void raises a `ValueError` in a NumPy array and makes the
    loss NaN in a tensor, on every backend. So do the outputs of a softmax where logits are
    expected. Void pixels are removed before the arithmetic, so NaN or infinite logits there change
    neither the loss nor its gradient.

    Losses can be added and multiplied by numbers: `0.5 * DiceLoss() + WeightedCrossEntropy()` is a
    `SumOfLosses`.

    A subclass defines `call`, which gets its labels from `split`, and may restrict `TASKS`.

    Args:
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights. A binary loss has two classes. Defaults to `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        from_logits: Boolean, whether the network returns logits rather than probabilities.
            Defaults to `True`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `None`: the network's task,
            set by its `compile`, or, without a network, binary for one channel and multiclass for
            several.
        **kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.
    """

    TASKS = TASKS

    def __init__(self, class_weights=None, ignore_class=255, from_logits=True, task=None, **kwargs):
        # Half precision would round labels above 256 or 2048.
        kwargs["dtype"] = kwargs.get("dtype") or "float32"
        super().__init__(**kwargs)
        self.class_weights = _as_list(class_weights)
        self.ignore_class = ignore_class
        self.from_logits = from_logits
        self.task = task
        if task is not None:
            self._check_supported(task)

    def for_task(self, task):
        """Returns this loss for a network's task: the loss itself, or a copy if it had no task.

        Raises:
            ValueError: If the loss is for another task or does not support this one.
        """
        self._check_supported(task)
        if self.task == task:
            return self
        if self.task is not None:
            raise ValueError(
                f"The network is for task={task!r}, and the loss {self.name!r} for "
                f"task={self.task!r}. Omit the loss's `task` to use the network's."
            )
        return type(self).from_config({**self.get_config(), "task": task})

    def task_for(self, channels):
        """Returns the task for outputs with this number of channels, or raises a ValueError."""
        task = self.task
        if task is None:
            task = "binary" if channels == 1 else next(t for t in self.TASKS if t != "binary")
        self._check_supported(task)
        check_task(task, channels)
        count = count_labels(task, channels)
        if self.class_weights is not None and len(self.class_weights) != count:
            raise ValueError(
                f"`class_weights` must have one weight for each of {counted(count, 'class')}. "
                f"Received: {self.class_weights}"
            )
        return task

    def _check_supported(self, task):
        if task not in self.TASKS:
            raise ValueError(
                f"{type(self).__name__} is for task={' or '.join(map(repr, self.TASKS))}. "
                f"Received: task={task!r}. WeightedCrossEntropy, FocalLoss and DiceLoss support "
                "every task."
            )

    def check_numpy_labels(self, y_true, channels):
        """Raises a ValueError if a label in a list or NumPy array is neither a class nor void."""
        if isinstance(y_true, (list, np.ndarray)):
            values = labels_of_mask(self.task_for(channels), channels)
            check_labels(y_true, values, self.ignore_class)

    def expand_weights(self, sample_weight, y_pred):
        """Returns sample weights that broadcast against the labels, or `None`."""
        sample_weight = expand_sample_weight(sample_weight, len(y_pred.shape) - 1)
        if sample_weight is None or self.task_for(y_pred.shape[-1]) != "multilabel":
            return sample_weight
        return ops.expand_dims(sample_weight, axis=-1)

    def split(self, y_true, y_pred):
        """Returns the task, integer labels, a mask of valid labels and a mask of faults.

        The three tensors have the shape `(batch, height, width)`, or
        `(batch, height, width, classes)` for multilabel masks. Faults are invalid labels, or all
        labels if the outputs are probabilities instead of logits.
        """
        channels = y_pred.shape[-1]
        task = self.task_for(channels)
        y_true = match_shapes(y_true, y_pred, task=task)
        labels, valid, faulty = split_labels(
            y_true, labels_of_mask(task, channels), self.ignore_class
        )
        if self.from_logits and task == "multiclass":
            faulty = ops.logical_or(faulty, is_softmax(y_pred))
        return task, labels, valid, faulty

    def check_outputs(self, y_pred):
        """Raises a ValueError if logits are expected and the outputs are not."""
        softmax = self.task_for(y_pred.shape[-1]) == "multiclass"
        check_logits(y_pred, self.from_logits, self.name, softmax)

    def __call__(self, y_true, y_pred, sample_weight=None):
        self.check_outputs(y_pred)
        self.check_numpy_labels(y_true, y_pred.shape[-1])
        return super().__call__(y_true, y_pred, self.expand_weights(sample_weight, y_pred))

    def __mul__(self, factor):
        return self._alone() * factor

    def __add__(self, other):
        return self._alone() + other

    def __radd__(self, other):
        return other + self._alone()

    __rmul__ = __mul__

    def _alone(self):
        return SumOfLosses([self])

    def get_config(self):
        return {
            **super().get_config(),
            "class_weights": self.class_weights,
            "ignore_class": self.ignore_class,
            "from_logits": self.from_logits,
            "task": self.task,
        }


def _as_list(class_weights):
    if class_weights is None:
        return None
    if isinstance(class_weights, Mapping):
        if sorted(class_weights) != list(range(len(class_weights))):
            raise ValueError(
                "A dict of `class_weights` must have every class from 0 on as a key. Received: "
                f"{class_weights}"
            )
        class_weights = [class_weights[key] for key in range(len(class_weights))]
    class_weights = [float(weight) for weight in class_weights]
    if not all(np.isfinite(weight) and weight >= 0 for weight in class_weights):
        raise ValueError(
            f"`class_weights` must be finite and not negative. Received: {class_weights}"
        )
    return class_weights
