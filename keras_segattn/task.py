"""The tasks of a network: one class per pixel, foreground or not, or several labels per pixel.

| task | outputs | masks | classes of a pixel |
|---|---|---|---|
| `"multiclass"` | one logit per class, softmax | `(height, width)`, labels | the best one |
| `"binary"` | one logit, sigmoid | `(height, width)`, 0 and 1 | 1 above the threshold |
| `"multilabel"` | a logit per class, sigmoid | `(height, width, classes)`, 0 and 1 | all above it |

Nothing here imports Keras, because exported networks use this module too.
"""

import math
from numbers import Real

import numpy as np

from keras_segattn.arguments import check_choice
from keras_segattn.wording import counted

TASKS = ("multiclass", "binary", "multilabel")
BACKGROUND = "background"
DEFAULT_THRESHOLD = 0.5


def check_task(task, channels):
    """Raises a ValueError unless a number of output channels fits a task.

    Args:
        task: One of `TASKS`.
        channels: Integer, the number of logits of a pixel.
    """
    check_choice("task", task, TASKS)
    if task == "binary" and channels != 1:
        raise ValueError(
            "A binary network has one logit, the foreground's: omit `classes` or pass "
            f"classes=1. Received: classes={channels}. For a softmax over "
            f"{counted(channels, 'class')} pass task='multiclass'; for several labels per pixel, "
            "task='multilabel'."
        )
    if task == "multiclass" and channels == 1:
        raise ValueError(
            "The softmax of one class is always 1, so nothing is learned. Pass task='binary' for "
            "foreground and background, or at least 2 classes. Received: classes=1, "
            "task='multiclass'"
        )


def count_labels(task, channels):
    """Returns the number of class names for output channels: two for a binary network."""
    return 2 if task == "binary" else channels


def labels_of_mask(task, classes):
    """Returns the number of valid labels in a mask, not counting void."""
    return classes if task == "multiclass" else 2


def check_threshold(task, threshold, classes):
    """Returns the probability threshold for a task, or raises a ValueError.

    Args:
        task: One of `TASKS`.
        threshold: Float between 0 and 1, a sequence of one per class with `"multilabel"`, or
            `None` for the default.
        classes: Integer, the number of logits of a pixel.

    Returns:
        A float, a tuple of floats, or `None` with `"multiclass"`.
    """
    if task == "multiclass":
        if threshold is not None:
            raise ValueError(
                "A multiclass network predicts the best class: omit `threshold`. "
                f"Received: threshold={threshold}"
            )
        return None
    if threshold is None:
        return DEFAULT_THRESHOLD
    values = [threshold] if isinstance(threshold, Real) else list(threshold)
    several = task == "multilabel" and len(values) == classes
    if not (len(values) == 1 or several) or not all(0 < value < 1 for value in values):
        each = f", or a sequence of {classes} of them" if task == "multilabel" else ""
        raise ValueError(
            f"`threshold` must be a number between 0 and 1{each}. Received: {threshold}"
        )
    values = tuple(float(value) for value in values)
    return values[0] if len(values) == 1 else values


def as_logits(threshold):
    """Returns the logits at which a sigmoid reaches a threshold, as a float or a tuple."""
    if isinstance(threshold, tuple):
        return tuple(as_logits(value) for value in threshold)
    return math.log(threshold) - math.log1p(-threshold)


def probabilities_of(logits, task):
    """Returns the probabilities of NumPy logits `(..., channels)` in float32."""
    logits = np.asarray(logits, dtype="float32")
    if task != "multiclass":
        # The logistic function, without overflow.
        return 0.5 + 0.5 * np.tanh(0.5 * logits)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def choose_classes(outputs, task, threshold=None):
    """Returns the class map for a network's NumPy outputs.

    Args:
        outputs: Array `(..., channels)`: logits or probabilities with `"multiclass"`; otherwise the
            values to compare with `threshold`.
        task: One of `TASKS`.
        threshold: Number or sequence of one per class; a class is present above it. Not used with
            `"multiclass"`.

    Returns:
        uint8 array, int32 above 256 classes: labels of shape `(...)`; with `"multilabel"`, zeros
        and ones of shape `(..., channels)`.
    """
    if task == "multiclass":
        dtype = "uint8" if outputs.shape[-1] <= 256 else "int32"
        return outputs.argmax(axis=-1).astype(dtype)
    there = (outputs > np.asarray(threshold, dtype=outputs.dtype)).astype("uint8")
    return there[..., 0] if task == "binary" else there


def name_classes(names, task):
    """Returns a network's class names; a single name of a binary network is the foreground's."""
    return (BACKGROUND, *names) if task == "binary" and len(names) == 1 else tuple(names)


def color_classes(colors, task):
    """Returns the class colors; a single color of a binary network is the foreground's."""
    return ((0, 0, 0), *colors) if task == "binary" and len(colors) == 1 else tuple(colors)
