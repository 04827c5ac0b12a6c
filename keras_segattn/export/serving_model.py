"""The model to export: from images to the chosen output, in float32."""

import json

import keras
import numpy as np
from keras import ops

from keras_segattn.applications.logits import returns_logits, task_of, to_probabilities
from keras_segattn.arguments import check_size
from keras_segattn.export.likely_class_map import LikelyClassMap
from keras_segattn.export.network_size import ResizeTo
from keras_segattn.layers import ResizeLike
from keras_segattn.task import as_logits, check_task, check_threshold
from keras_segattn.weights.preprocessing import Preprocessing

OUTPUTS = ("class_map", "likely_class_map", "coarse_class_map", "probabilities", "logits")
# They are named `class_map` in the artifact, and their logits are not resized.
WITHOUT_RESIZED_LOGITS = ("likely_class_map", "coarse_class_map")


def serving_model(
    model,
    preprocessing,
    output="class_map",
    input_shape=(None, None, None),
    network_size=None,
    threshold=None,
):
    """Wraps a segmentation model with its preprocessing and the class decision.

    Args:
        model: A functional model from preprocessed images to logits
            `(batch, height, width, classes)`.
        preprocessing: Callable for a Keras tensor of uint8 images, or `None` if the input is
            preprocessed.
        output: One of `"class_map"`, `"likely_class_map"`, `"coarse_class_map"`, `"probabilities"`,
            `"logits"`. Defaults to `"class_map"`.
        input_shape: Tuple `(batch, height, width)`; `None` means any size. Defaults to any.
        network_size: Tuple `(height, width)`, the size to which images are resized for the network;
            the logits are resized back. Defaults to `None`.
        threshold: Probability above which a binary or multilabel model predicts a class, as in
            `keras_segattn.inference.segment`. Defaults to `None`.

    Returns:
        A functional float32 model from `images` `(batch, height, width, channels)`, uint8, or
        float32 without `preprocessing`. Its outputs are a dict with the key `output` and the key
        `"logits"`, which serves to verify exports. The class map `(batch, height, width)` is uint8,
        or int32 above 256 classes; for a multilabel model, it contains 0 and 1 and has shape
        `(batch, height, width, classes)`. The maps of `"coarse_class_map"` and
        `"likely_class_map"` also have the key `"class_map"`, and their `"logits"` are not resized.

    Raises:
        ValueError: If a coarse or likely class map is requested for a model that is not from
            `keras_segattn.applications`, if a likely class map is requested with a `network_size`
            or for a model that is not multiclass, if a size differs from the model's fixed size, or
            if logits are requested from a model that returns probabilities. For other outputs of a
            model with probabilities, `"logits"` contains the probabilities.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    task, channels = task_of(model), model.output_shape[-1]
    check_task(task, channels)
    threshold = check_threshold(task, threshold, channels)
    # Logits and probabilities have the same best class.
    logits_returned = (task == "multiclass" and "class_map" in output) or returns_logits(model)
    try:
        model = in_float32(model)
        images = keras.Input(
            batch_shape=(*input_sizes(model, input_shape, network_size), model.input_shape[-1]),
            dtype="float32" if preprocessing is None else "uint8",
            name="images",
        )
        x = images if preprocessing is None else preprocessed(images, preprocessing)
        if network_size is not None:
            x = ResizeTo(network_size, name="network_size")(x)
        if output in WITHOUT_RESIZED_LOGITS:
            logits = _before_resizing(model)(x)
            aligned = model.get_layer("logits").align_corners
            if output == "likely_class_map":
                _check_likely(task, network_size)
                class_map = LikelyClassMap(aligned, name="likely")([logits, images])
            else:
                least = None if threshold is None else as_logits(threshold)
                class_map = _resized(_chosen(logits, task, least), images, aligned)
            class_map = _as_pixels(class_map, logits)
            outputs = {"logits": logits, "class_map": class_map}
            return keras.Model(images, outputs, name=f"{model.name}_serving")
        logits = model(x)
        if network_size is not None:
            logits = ResizeLike(name="image_size")([logits, images])
        outputs = {"logits": logits}
        if output == "class_map":
            logits_cut = threshold is not None and logits_returned
            least = as_logits(threshold) if logits_cut else threshold
            outputs[output] = _as_pixels(_chosen(logits, task, least), logits)
        elif not logits_returned:
            if output == "logits":
                raise ValueError(
                    "The model returns probabilities and has no logits to export; export "
                    "'probabilities', or build it with classifier_activation=None."
                )
            outputs[output] = keras.layers.Identity(name="output")(logits)
        elif output == "probabilities":
            outputs[output] = to_probabilities(logits, task)
        return keras.Model(images, outputs, name=f"{model.name}_serving")
    finally:
        keras.config.set_dtype_policy(policy)


def input_sizes(model, input_shape, network_size):
    """Returns `input_shape` with the fixed sides of a model; raises a ValueError if they differ."""
    if len(input_shape) != 3:
        raise ValueError(
            "`input_shape` must be (batch, height, width), with None for any size. Received: "
            f"{input_shape}"
        )
    batch, *sides = input_shape
    taken = model.input_shape[1:3]
    if network_size is not None:
        check_size(network_size)
        if any(side not in (None, asked) for side, asked in zip(taken, network_size, strict=True)):
            raise ValueError(
                f"The model reads only images of {taken}. Received: network_size={network_size}"
            )
        taken = (None, None)
    sizes = []
    for fixed, asked in zip(taken, sides, strict=True):
        if None not in (fixed, asked) and fixed != asked:
            raise ValueError(
                f"The model reads only images of {model.input_shape[1:3]}. Received: "
                f"input_shape={input_shape}"
            )
        sizes.append(fixed if asked is None else asked)
    return batch, *sizes


def preprocessed(images, preprocessing):
    """Preprocesses a Keras tensor, with a 1x1 convolution if it is equivalent up to rounding.

    The normalization has one number per channel. Runtimes with channels-first convolutions are slow
    at arithmetic along the last axis, except in a convolution.
    """
    if not isinstance(preprocessing, Preprocessing):
        return preprocessing(images)
    channels = images.shape[-1]
    black, *pure = preprocessing(np.concatenate([np.zeros((1, channels)), 255 * np.eye(channels)]))
    black, pure = ops.convert_to_numpy(black), ops.convert_to_numpy(ops.stack(pure))
    convolution = keras.layers.Conv2D(channels, 1, name="preprocessing")
    x = convolution(ops.cast(images, "float32"))
    convolution.set_weights([((pure - black) / 255)[None, None], black])
    return x


def _before_resizing(model):
    """Returns the network up to the decoder's logits, before they are resized."""
    names = [layer.name for layer in model.layers]
    if "logits" not in names or not isinstance(model.get_layer("logits"), ResizeLike):
        raise ValueError(
            f"Model {model.name!r} has no layer 'logits' that resizes the logits, unlike the "
            "networks of keras_segattn.applications; export 'class_map'."
        )
    coarse, _ = model.get_layer("logits").input
    return keras.Model(model.inputs, coarse)


def _check_likely(task, network_size):
    if task != "multiclass":
        raise ValueError(
            f"A pixel of a {task} model has no best class; export 'class_map' instead of "
            "'likely_class_map'."
        )
    if network_size is not None:
        raise ValueError(
            "'likely_class_map' resizes the logits once, and `network_size` twice: omit it, or "
            f"export 'class_map'. Received: network_size={network_size}"
        )


def _resized(class_map, images, align_corners):
    nearest = ResizeLike("nearest", align_corners, dtype=class_map.dtype)
    if len(class_map.shape) == 4:
        return nearest([class_map, images])
    return ops.squeeze(nearest([ops.expand_dims(class_map, -1), images]), axis=-1)


def _chosen(logits, task, least):
    """Returns the class map as int32; sigmoid outputs must exceed `least`."""
    if task == "multiclass":
        return _best(logits)
    # A tensor would become an input of an ONNX file.
    least = np.array(least, "float32") if isinstance(least, tuple) else least
    there = ops.cast(ops.greater(logits, least), "int32")
    return ops.squeeze(there, axis=-1) if task == "binary" else there


def _best(logits):
    # Keras's argmax of floats checks for negative zeros bit by bit, which ONNX cannot express. It
    # can express a comparison with the maximum, but OpenVINO's int8 kernels break it.
    _, best = ops.top_k(logits, 1, sorted=False)
    return ops.cast(ops.squeeze(best, axis=-1), "int32")


def _as_pixels(class_map, logits):
    # Last, because TensorRT has no uint8 inside a graph.
    return ops.cast(class_map, "uint8") if logits.shape[-1] <= 256 else class_map


def in_float32(model):
    """Returns a float32 copy of a mixed precision model; its weights are already float32."""
    if all(layer.dtype_policy.name == "float32" for layer in model._flatten_layers()):
        return model

    def force(node):
        if isinstance(node, dict):
            if node.get("class_name") == "DTypePolicy":
                return {**node, "config": {"name": "float32"}}
            return {key: force(value) for key, value in node.items()}
        return [force(value) for value in node] if isinstance(node, list) else node

    copy = keras.models.model_from_json(json.dumps(force(json.loads(model.to_json()))))
    copy.set_weights(model.get_weights())
    return copy
