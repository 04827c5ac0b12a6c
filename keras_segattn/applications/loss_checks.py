"""Checks that losses and metrics fit the outputs of a network."""

import inspect

import keras
from keras import ops

from keras_segattn.ground_truth import check_labels, split_labels

# Words in the names of Keras's losses, which have no attribute `task`.
SOFTMAX, SIGMOID, SPARSE = "categorical", "binary", "sparsecategorical"
NAMES = {True: "logits", False: "probabilities"}


def fit_losses(loss, task):
    """Returns a structure of losses in which this package's losses have the network's task.

    Raises:
        ValueError: If one of them is for another task.
    """
    return keras.tree.map_structure(
        lambda one: one.for_task(task) if hasattr(one, "for_task") else one, loss
    )


def check_loss(model, loss):
    """Raises a ValueError if a loss given to `compile` would misread the outputs of a model.

    Args:
        model: A `SegmentationModel`.
        loss: A loss, a function, the name of a loss, or `None`.
    """
    for one in getattr(loss, "losses", [loss]):
        _check_kind(model, one)
        _check_task(model, one)


def _check_kind(model, loss):
    expected = _expects_logits(loss)
    if None not in (expected, model.from_logits) and expected != model.from_logits:
        raise ValueError(
            f"Model {model.name!r} returns {NAMES[model.from_logits]}, and the loss expects "
            f"{NAMES[expected]}: training would fail silently. Pass the loss "
            f"from_logits={model.from_logits}. Received: loss={loss}"
        )


def _check_task(model, loss):
    if hasattr(loss, "for_task"):
        loss.task_for(model.outputs[0].shape[-1])
        return
    wrong = SIGMOID if model.task == "multiclass" else SOFTMAX
    if loss is not None and wrong in _name_of(loss):
        fix = "WeightedCrossEntropy()" if model.task == "multiclass" else "BinaryCrossEntropy()"
        kind = {SIGMOID: "sigmoids", SOFTMAX: "a softmax over classes"}[wrong]
        raise ValueError(
            f"Model {model.name!r} is for task={model.task!r}, and the loss is for {kind}: "
            f"training would fail silently. Use keras_segattn.losses.{fix}, or build "
            f"the model with another `task`. Received: loss={loss}"
        )


def check_numpy_labels(loss, labels, channels):
    """Raises a ValueError if a loss would misread the labels of a NumPy array.

    Args:
        loss: A loss, as in `compile`.
        labels: The array.
        channels: Integer, the number of logits of a pixel.
    """
    if takes_no_void(loss):
        outside = labels[(labels < 0) | (labels > 1)]
        if outside.size:
            raise ValueError(
                "A binary loss of Keras takes labels from 0 to 1 and does not support void. "
                "Received "
                f"{outside.flat[0]} in {outside.size} of {labels.size} pixels. Use "
                "keras_segattn.losses.BinaryCrossEntropy(), for which 255 is void."
            )
    if hasattr(loss, "check_numpy_labels"):
        loss.check_numpy_labels(labels, channels)
    elif _is_sparse(loss, channels):
        check_labels(labels, channels, getattr(loss, "ignore_class", None))


def guard_labels(loss, y_true, y_pred):
    """Makes a sparse or binary loss of Keras NaN for labels that it would misread.

    For labels that are neither a class nor void, Keras's sparse losses raise an error on TensorFlow
    and torch, and compute a wrong loss on JAX. Keras's binary losses treat 255 as a label.

    Args:
        loss: A loss, as in `compile`.
        y_true: Tensor of labels.
        y_pred: Tensor of outputs `(batch, height, width, classes)`.

    Returns:
        A tuple of labels that the loss takes, and of a scalar to add to the loss: NaN or 0.
    """
    tensors = all(hasattr(tensor, "shape") for tensor in (y_true, y_pred))
    if tensors and takes_no_void(loss):
        y_true = ops.convert_to_tensor(y_true)
        outside = ops.any((y_true < 0) | (y_true > 1))
        return y_true, ops.where(outside, float("nan"), 0.0)
    if not tensors or not _is_sparse(loss, y_pred.shape[-1]):
        return y_true, 0.0
    void = getattr(loss, "ignore_class", None)
    *_, faulty = split_labels(y_true, y_pred.shape[-1], float("nan") if void is None else void)
    labels = ops.where(faulty, ops.zeros_like(y_true), y_true)
    return labels, ops.where(ops.any(faulty), float("nan"), 0.0)


def takes_no_void(loss):
    """Returns whether a loss is, or contains, a binary loss of Keras, for which 255 is a label."""
    return any(
        one is not None and SIGMOID in _name_of(one) and not hasattr(one, "for_task")
        for one in getattr(loss, "losses", [loss])
    )


def check_metrics(model, metrics):
    """Raises a ValueError if a metric of this package does not fit a model's outputs.

    Args:
        model: A `SegmentationModel`.
        metrics: A structure of metrics.
    """
    for metric in keras.tree.flatten(metrics):
        task = getattr(metric, "task", None)
        if task is not None and task != model.task:
            raise ValueError(
                f"Model {model.name!r} is for task={model.task!r}. Pass the same `task` to the "
                f"metric {metric.name!r}. Received: task={task!r}"
            )
        expected = getattr(metric, "from_logits", None)
        if None not in (expected, model.from_logits) and expected != model.from_logits:
            raise ValueError(
                f"Model {model.name!r} returns {NAMES[model.from_logits]}, and the metric "
                f"{metric.name!r} expects {NAMES[expected]}. Pass it "
                f"from_logits={model.from_logits}."
            )


def _is_sparse(loss, channels):
    return SPARSE in _name_of(loss) and channels > 1


def _name_of(loss):
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return name.lower().replace("_", "")


def _expects_logits(loss):
    """Returns whether a loss expects logits, or `None` if that is unknown."""
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if callable(loss) and not isinstance(loss, keras.losses.Loss):
        parameters = inspect.signature(loss).parameters
        return parameters["from_logits"].default if "from_logits" in parameters else None
    return getattr(loss, "from_logits", None)
