"""The end of every network."""

import keras
from keras import ops

from keras_segattn.layers import FCNHead, ResizeLike

# The activation that turns the logits of each task into probabilities.
ACTIVATIONS = {"multiclass": "softmax", "binary": "sigmoid", "multilabel": "sigmoid"}

# Layers after which logits are logits, and probabilities probabilities.
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
    """Resizes logits to the image, and activates them if asked for.

    Both are in float32 under mixed precision too, as losses and exports need them.
    """
    x = ResizeLike(align_corners=align_corners, dtype="float32", name=f"{prefix}logits")([x, image])
    if activation is not None:
        x = keras.layers.Activation(activation, dtype="float32", name=f"{prefix}predictions")(x)
    return x


def classifier_of(model):
    """Returns the layer that computes the logits: the last one with weights before the output.

    Returns:
        Tuple of the layer of the model and the convolution, which are the same unless the layer is
        a head such as `FCNHead`.

    Raises:
        ValueError: If the last layer with weights has no kernel of one column per class.
    """
    layer = model.outputs[0]._keras_history.operation
    while not getattr(layer, "weights", None) and not isinstance(layer, keras.layers.InputLayer):
        # Logits are resized to the size of a second input, the image.
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
    """Tells whether a model returns logits, rather than probabilities.

    The model's attribute `from_logits` decides. Where it is missing or `None`, the layers that end
    the model are looked at.

    Raises:
        ValueError: If neither tells.
    """
    known = getattr(model, "from_logits", None)
    if known is None and getattr(model, "outputs", None):
        known = are_logits(model.outputs[0])
    if known is None:
        raise ValueError(
            f"It cannot be told whether model {model.name!r} returns logits or probabilities. Set "
            "model.from_logits to True or False."
        )
    return known


def are_logits(tensor):
    """Tells by its layers whether a Keras tensor holds logits: `True`, `False`, or `None`."""
    kind = kind_of(tensor)
    return None if kind is None else kind == "logits"


def kind_of(tensor):
    """Tells by its layers what a Keras tensor holds.

    Returns:
        `"logits"`, `"softmax"` or `"sigmoid"`; `None` where the layers do not tell.
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
    """Returns the task of a model: its attribute `task`, or the task that its outputs suggest.

    One channel is the foreground of a binary model. Several sigmoids are the labels of a multilabel
    model.
    """
    task = getattr(model, "task", None)
    return task_of_tensor(model.outputs[0]) if task is None else task


def task_of_tensor(tensor):
    """Returns the task that the outputs of a model suggest; see `task_of`."""
    if tensor.shape[-1] == 1:
        return "binary"
    return "multilabel" if kind_of(tensor) == "sigmoid" else "multiclass"


def to_probabilities(logits, task):
    """Returns the probabilities of logits `(..., channels)`, as the task of the model has them."""
    return ops.softmax(logits) if task == "multiclass" else ops.sigmoid(logits)


def to_logits(probabilities, task):
    """Returns logits that `to_probabilities` turns into these probabilities."""
    least = keras.config.epsilon()
    logits = ops.log(ops.maximum(probabilities, least))
    if task == "multiclass":
        return logits
    return logits - ops.log(ops.maximum(1.0 - probabilities, least))
