"""Checks of batches too small for the batch normalization of a network."""

import warnings

import keras
import numpy as np

# The batch size of `fit` in Keras.
KERAS_BATCH_SIZE = 32


def layer_of_single_values(model):
    """Returns a trainable batch normalization that gets one value per channel and image.

    In a batch of one image it normalizes a single value, and returns 0 for every input: no
    gradient passes.

    Args:
        model: A Keras model.

    Returns:
        The first such layer, or `None`.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            shape = (layer.get_build_config() or {}).get("input_shape") or (None, None, None)
            if all(side == 1 for side in shape[1:-1]):
                return layer
    return None


def warn_of_batches_of_one(model, data, batch_size=None):
    """Warns if batches of one image keep `fit` from training a part of a model.

    Args:
        model: A Keras model.
        data: The `x` of `fit`.
        batch_size: The `batch_size` of `fit`. Defaults to `None`.
    """
    layer = layer_of_single_values(model)
    if layer is not None and _batch_size_of(data, batch_size) == 1:
        warnings.warn(
            f"Batches of one image do not train all of {model.name!r}: {layer.path} normalizes one "
            "value per channel and image, and a single value always normalizes to 0. Use batches "
            "of 2 or more, or freeze that layer with its attribute `trainable`.",
            stacklevel=3,
        )


def _batch_size_of(data, batch_size):
    """Returns the number of samples in the first batch of `fit`'s input, or `None` if unknown."""
    known = getattr(getattr(data, "sampler", data), "batch_size", None)
    if isinstance(known, int):
        return known
    if hasattr(data, "element_spec"):
        # The spec of a distributed data set has no shape.
        shape = getattr(keras.tree.flatten(data.element_spec)[0], "shape", None)
        return shape[0] if shape else None
    if isinstance(data, keras.utils.PyDataset):
        return len(keras.tree.flatten(data[0])[0])
    if isinstance(data, np.ndarray) or keras.ops.is_tensor(data):
        return min(batch_size or KERAS_BATCH_SIZE, data.shape[0])
    return None
