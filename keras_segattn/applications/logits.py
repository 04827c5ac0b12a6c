"""The output end of every network: logits and probabilities."""

import keras
from keras import ops

from keras_segattn.layers import FCNHead, ResizeLike

# Activation that turns the logits of each task into probabilities.
ACTIVATIONS = {"multiclass": "softmax", "binary": "sigmoid", "multilabel": "sigmoid"}

# Layers that map logits to logits and probabilities to probabilities.
KEEPING = (
    keras.layers.Activation,
    keras.layers.Average,
    keras.layers.Cropping2D,
    keras.layers.Dropout,
    keras.layers.Identity,
    keras.layers.Reshape,
    keras.layers.Resizing,
    keras.layers.UpSampling2D,
)


def full_size_logits(x, image, activation, align_corners=False, prefix=""):
    """Resizes logits to the image size and activates them if requested.

    Both steps use float32 even under mixed precision, because losses and exports need it.
    """
    x = ResizeLike(align_corners=align_corners, dtype="float32", name=f"{prefix}logits")([x, image])
    if activation is not None:
        x = keras.layers.Activation(activation, dtype="float32", name=f"{prefix}predictions")(x)
    return x


def classifier_of(model):
    """Returns the layer that computes the logits: the last one with weights before the output.

    Returns:
        Tuple of the model's layer and the convolution. They differ only if the layer is a head such
        as `FCNHead`.

    Raises:
        ValueError: If the last layer with weights does not have a kernel with one column per class.
    """
    layer = model.outputs[0]._keras_history.operation
    while not getattr(layer, "weights", None) and not isinstance(layer, keras.layers.InputLayer):
        # Logits are resized to the size of the second input, the image.
        layer = keras.tree.flatten(layer.input)[0]._keras_history.operation
    if isinstance(layer, keras.Model):
        return classifier_of(layer)
    classifier = getattr(layer, "classifier", layer)
    kernel = getattr(classifier, "kernel", None)
    if kernel is None or kernel.shape[-1] != model.outputs[0].shape[-1]:
        raise ValueError(
            f"Model {model.name!r} does not end in a classifier, a convolution or dense layer with "
            f"one output per class. Its last layer with weights is {layer.name!r}."
        )
    return layer, classifier


def returns_logits(model):
    """Returns whether a model returns logits, as opposed to probabilities.

    The model's attribute `from_logits` decides. If it is missing or `None`, the model's last layers
    decide.

    Raises:
        ValueError: If neither decides.
    """
    known = getattr(model, "from_logits", None)
    if known is None and getattr(model, "outputs", None):
        known = are_logits(model.outputs[0])
    if known is None:
        raise ValueError(
            f"It is unknown whether model {model.name!r} returns logits or probabilities. Set "
            "model.from_logits to True or False."
        )
    return known


def are_logits(tensor):
    """Returns whether a Keras tensor holds logits, judging by its layers: a boolean or `None`."""
    kind = kind_of(tensor)
    return None if kind is None else kind == "logits"


def kind_of(tensor):
    """Returns the kind of values in a Keras tensor, judging by its layers.

    Returns:
        `"logits"`, `"softmax"` or `"sigmoid"`; `None` if the layers do not determine it.
    """
    operation, node_index, tensor_index = tensor._keras_history
    if isinstance(operation, keras.Model):
        return kind_of(keras.tree.flatten(operation.outputs)[tensor_index])
    name = type(operation).__name__.lower()
    if isinstance(operation, keras.layers.Softmax) or name in ("softmax", "sigmoid"):
        return name if name == "sigmoid" else "softmax"
    activation = getattr(operation, "activation", None)
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        return activation.__name__
    if isinstance(operation, FCNHead):
        return "logits"
    if activation not in (None, keras.activations.linear):
        return None
    if hasattr(operation, "kernel"):
        return "logits"
    inputs = operation._inbound_nodes[node_index].input_tensors
    if isinstance(operation, ResizeLike):
        inputs = inputs[:1]
    elif not isinstance(operation, KEEPING):
        return None
    answers = {kind_of(source) for source in inputs}
    return answers.pop() if len(answers) == 1 else None


def task_of(model):
    """Returns the task of a model: its attribute `task`, or the task inferred from its outputs.

    One channel means the foreground of a binary model. Several sigmoids mean the labels of a
    multilabel model.
    """
    task = getattr(model, "task", None)
    return task_of_tensor(model.outputs[0]) if task is None else task


def task_of_tensor(tensor):
    """Returns the task inferred from a model's outputs; see `task_of`."""
    if tensor.shape[-1] == 1:
        return "binary"
    return "multilabel" if kind_of(tensor) == "sigmoid" else "multiclass"


def to_probabilities(logits, task):
    """Converts logits `(..., channels)` to probabilities with the task's activation."""
    return ops.softmax(logits) if task == "multiclass" else ops.sigmoid(logits)


def to_logits(probabilities, task):
    """Inverts `to_probabilities`: returns logits that have these probabilities."""
    least = keras.config.epsilon()
    logits = ops.log(ops.maximum(probabilities, least))
    if task == "multiclass":
        return logits
    return logits - ops.log(ops.maximum(1.0 - probabilities, least))
