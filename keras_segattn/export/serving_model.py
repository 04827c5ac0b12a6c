"""The model that is exported: from uint8 images to class maps, in float32."""

import json

import keras
from keras import ops


def serving_model(model, preprocess):
    """Wraps a segmentation model with its preprocessing and the choice of the class.

    Args:
        model: A functional model from preprocessed images to logits
            `(batch, height, width, classes)`.
        preprocess: Callable for a Keras tensor of uint8 images.

    Returns:
        A functional float32 model from uint8 images `(batch, height, width, channels)`, named
        `images`, to a class map `(batch, height, width)`: uint8, or int32 above 256 classes.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        model = _in_float32(model)
        images = keras.Input(shape=model.input_shape[1:], dtype="uint8", name="images")
        logits = model(preprocess(images))
        # Keras's argmax of floats looks for negative zeros bit by bit, which ONNX cannot express.
        is_best = ops.cast(ops.equal(logits, ops.max(logits, axis=-1, keepdims=True)), "int32")
        dtype = "uint8" if logits.shape[-1] <= 256 else "int32"
        class_map = ops.cast(ops.argmax(is_best, axis=-1), dtype)
        return keras.Model(images, class_map, name=f"{model.name}_serving")
    finally:
        keras.config.set_dtype_policy(policy)


def _in_float32(model):
    """A float32 copy of a model in mixed precision, whose weights are float32 anyway."""
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
