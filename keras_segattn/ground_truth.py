"""Checks of labels, void pixels and logits, shared by losses, metrics and data sets.

A label is a class from `0` to `classes - 1`, or void. Any other label is a fault, and so are
probabilities instead of logits. In NumPy arrays, faults raise an error that names them. Compiled
code cannot raise; there, a fault makes the loss and the scores NaN on every backend.
"""

import numpy as np
from keras import ops

from keras_segattn.wording import counted

# bfloat16 rounds the sum of a softmax by up to 0.006.
ROUNDING_OF_SUM = 2**-7


def check_labels(labels, classes, ignore_class, where="the labels"):
    """Raises a ValueError unless every label of a NumPy array is a class or void.

    Args:
        labels: Array of any shape and dtype.
        classes: Integer, the number of classes.
        ignore_class: Integer, the label of void; `None` if there is none.
        where: Name of the array in the message. Defaults to `"the labels"`.
    """
    labels = np.asarray(labels)
    known = (labels >= 0) & (labels < classes)
    if labels.dtype.kind == "f":
        known &= labels == np.floor(labels)
    faulty = ~known & (labels != ignore_class)
    if faulty.any():
        values = np.unique(labels[faulty])
        listed = ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
        raise ValueError(
            f"{where[0].upper()}{where[1:]} must be classes from 0 to {classes - 1}"
            f"{'' if ignore_class is None else f', or {ignore_class} for void'}. Received {listed} "
            f"in {faulty.sum()} of {labels.size} pixels."
            " Check the number of classes, or map the labels to classes, with `label_map` of "
            "SegmentationFolder for example."
        )


def check_logits(y_pred, from_logits, name, softmax=False):
    """Raises a ValueError if logits are expected and the outputs are known to be probabilities.

    Keras notes the logits with the outputs of softmax and sigmoid, but not on JAX. There,
    `is_softmax` detects the outputs of a softmax.

    Args:
        y_pred: The outputs, as Keras passes them, or a NumPy array.
        from_logits: Boolean, whether logits are expected.
        name: Name of the loss or metric in the message.
        softmax: Boolean, whether the probabilities come from a softmax, not a sigmoid. Defaults to
            `False`.
    """
    if not from_logits:
        return
    array = softmax and isinstance(y_pred, np.ndarray)
    if hasattr(y_pred, "_keras_logits") or (array and bool(is_softmax(y_pred))):
        raise ValueError(
            f"{name!r} expects logits, but the model ends in a softmax or sigmoid: results would "
            "be silently wrong. Pass from_logits=False to it."
        )


def is_softmax(y_pred):
    """Returns whether outputs come from a softmax, as a boolean tensor; also in compiled code.

    The outputs of a softmax are at least 0 and sum to 1 in every pixel. Logits practically
    never satisfy this in all pixels of a batch.

    Args:
        y_pred: Outputs `(batch, height, width, classes)` for several classes.
    """
    y_pred = ops.cast(y_pred, "float32")
    near_one = ops.abs(ops.sum(y_pred, axis=-1) - 1.0) <= ROUNDING_OF_SUM
    positive = ops.logical_and(ops.all(y_pred >= 0.0), ops.any(near_one))  # not of an empty batch
    return ops.logical_and(positive, ops.all(near_one))


def match_shapes(y_true, y_pred, classes=None, task="multiclass"):
    """Returns the labels in the shape of the task, or raises a ValueError.

    Args:
        y_true: Labels of shape `(batch, height, width)` or `(batch, height, width, 1)`; with
            `"multilabel"` of shape `(batch, height, width, classes)`.
        y_pred: Logits or probabilities of shape `(batch, height, width, classes)`.
        classes: Integer, the number of channels that `y_pred` must have. Defaults to `None`, any.
        task: A task of `keras_segattn.task`. Defaults to `"multiclass"`.

    Returns:
        Labels of shape `(batch, height, width)`; with `"multilabel"`, the unchanged labels.
    """
    labels, outputs = tuple(y_true.shape), tuple(y_pred.shape)
    if classes not in (None, outputs[-1]):
        advice = " For a binary network pass task='binary'." if outputs[-1] == 1 else ""
        raise ValueError(
            f"The outputs must have {counted(classes, 'channel')}, one per class. Received: "
            f"y_pred.shape={outputs}.{advice}"
        )
    if task == "multilabel":
        _check_several_labels(labels, outputs)
        return y_true
    if len(labels) == len(outputs) and labels[-1] == 1:
        y_true, labels = ops.squeeze(y_true, axis=-1), labels[:-1]
    fits = len(labels) == len(outputs) - 1 and all(
        None in pair or pair[0] == pair[1] for pair in zip(labels, outputs, strict=False)
    )
    if not fits:
        advice = ""
        if len(labels) == len(outputs) and labels[-1] == outputs[-1]:
            advice = (
                " They look one-hot: pass `y_true.argmax(axis=-1)`. For several labels per pixel "
                "pass task='multilabel'."
            )
        raise ValueError(
            "Labels must have one integer for each pixel of the outputs: shape (batch, height, "
            "width) for outputs of shape (batch, height, width, classes). Received: "
            f"y_true.shape={tuple(y_true.shape)}, y_pred.shape={outputs}.{advice}"
        )
    return y_true


def _check_several_labels(labels, outputs):
    pairs = zip(labels, outputs, strict=False)
    if len(labels) == len(outputs) and all(None in pair or pair[0] == pair[1] for pair in pairs):
        return
    advice = ""
    if len(labels) == len(outputs) - 1:
        advice = " For one label per pixel pass task='multiclass'."
    raise ValueError(
        "Labels of a multilabel network must be 0 or 1 for each pixel and class: shape (batch, "
        f"height, width, classes), like the outputs. Received: y_true.shape={labels}, "
        f"y_pred.shape={outputs}.{advice}"
    )


def split_labels(y_true, classes, ignore_class):
    """Separates classes, void and faults; also works in compiled code.

    Args:
        y_true: Tensor of labels, of any dtype.
        classes: Integer, the number of classes.
        ignore_class: Integer, the label of void; NaN if there is none.

    Returns:
        A tuple of int32 labels, which are 0 for pixels without a class; a boolean tensor, true for
        pixels with a class; and a boolean tensor, true for labels that are neither a class nor
        void.
    """
    # In float32 every dtype compares alike: casting 2^40 or NaN to int32 gives other numbers on
    # each backend. All numbers of classes are exact.
    y_true = ops.cast(y_true, "float32")
    is_void = ops.equal(y_true, float(ignore_class))
    is_class = ops.logical_and(y_true >= 0.0, y_true < float(classes))
    is_class = ops.logical_and(is_class, ops.equal(y_true, ops.floor(y_true)))
    faulty = ops.logical_not(ops.logical_or(is_class, is_void))
    valid = ops.logical_and(is_class, ops.logical_not(is_void))
    return ops.cast(ops.where(valid, y_true, 0.0), "int32"), valid, faulty


def expand_sample_weight(sample_weight, rank=3):
    """Returns sample weights that broadcast against `(batch, height, width)`.

    Args:
        sample_weight: One weight per image, of shape `(batch,)`, or per pixel, of shape
            `(batch, height, width)` or `(batch, height, width, 1)`; or `None`.
        rank: Integer, the number of axes of the labels. Defaults to `3`.
    """
    if sample_weight is None:
        return None
    sample_weight = ops.convert_to_tensor(sample_weight, dtype="float32")
    shape = tuple(sample_weight.shape)
    if len(shape) == 1:
        return ops.reshape(sample_weight, (-1, *[1] * (rank - 1)))
    if len(shape) == rank + 1 and shape[-1] == 1:
        return ops.squeeze(sample_weight, axis=-1)
    if len(shape) != rank:
        raise ValueError(
            "`sample_weight` must have one number per image, of shape (batch,), or per pixel, of "
            f"shape (batch, height, width). Received: shape {shape}. Pass class weights to the "
            "loss: WeightedCrossEntropy(class_weights=...)."
        )
    return sample_weight
