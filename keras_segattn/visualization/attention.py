"""Attention maps as arrays, computed by the attention layers themselves."""

import inspect

import keras
import numpy as np

from keras_segattn.arguments import check_choice, check_pixel


def attention_layers(model):
    """Returns the names of the model layers that `model_attention` can show, first to last.

    These are the layers with a method `attention`, as described in `attention_maps`. A layer of a
    model inside the network, such as its backbone, has the model's name before its own:
    `"backbone/layer3_attention"`.

    Args:
        model: A functional model, such as a network of `keras_segattn.applications`.

    Example:

    >>> attention_layers(keras_segattn.applications.CrossCBAM(classes=2))
    ['context', 'fusion1', 'fusion2']
    """
    return list(_find_layers(model))


def model_attention(model, image, pixel=None, layer=None, strip=None):
    """Computes the attention maps of a layer of a network for an image.

    Args:
        model: A network of `keras_segattn.applications`.
        image: uint8 array of shape `(height, width, channels)`.
        pixel: Tuple `(row, column)` of a pixel of the image, for layers with separate attention for
            every pixel: `CrissCrossAttention`, `NonLocal` and `StripAttention`. Cannot be combined
            with `strip`. Defaults to `None`.
        layer: Name of the layer, as in `attention_layers`; optional if there is only one. Defaults
            to `None`.
        strip: Integer, a column of the image (a row, if strips are horizontal), for
            `StripAttention`: the map then shows which pixels look at it, as in figure 9 of the
            AttaNet paper. Defaults to `None`.

    Returns:
        Dict from names to arrays, as in `attention_maps`. Maps have the size of the layer's input
        map, not of the image.

    Raises:
        ValueError: If the layer is not named and there are several, if the model has none of that
            name, if the pixel is missing or outside the image, if the strip is outside the image or
            the model has no `StripAttention`, or if both are given.

    Example:

    >>> model = keras_segattn.applications.CCNet(backbone="resnet18", classes=2)
    >>> maps = model_attention(model, np.zeros((64, 96, 3), "uint8"), pixel=(20, 50))
    >>> {name: map.shape for name, map in maps.items()}
    {'after 1 loop': (8, 12), 'after 2 loops': (8, 12)}
    """
    image = np.asarray(image)
    paths = _find_layers(model)
    _check_one(pixel, strip)
    if strip is not None:
        paths = {name: path for name, path in paths.items() if _has_strips(path[-1])}
        if not paths:
            raise ValueError(
                "`strip` is for networks with a StripAttention, such as AttaNet. Model "
                f"{model.name!r} has none: give `pixel=(row, column)` instead. Received: "
                f"strip={strip}"
            )
    if layer is None and len(paths) == 1:
        (layer,) = paths
    check_choice("layer", layer, list(paths))
    features = _features(model, paths[layer], model.preprocessing(image[None]))
    layer = paths[layer][-1]
    if pixel is not None:
        check_pixel(pixel, image.shape[:2])
        size = keras.tree.flatten(features)[0].shape[1:3]
        pixel = tuple(
            int(p) * s // side for p, s, side in zip(pixel, size, image.shape[:2], strict=True)
        )
    if strip is None:
        return attention_maps(layer, features, pixel)
    axis, sides = (2, "columns") if layer.orientation == "vertical" else (1, "rows")
    side = image.shape[axis - 1]
    if not 0 <= strip < side:
        raise ValueError(
            f"`strip` must be one of the {side} {sides} of the image, from 0 to {side - 1}. "
            f"Received: {strip}"
        )
    found = strip * features.shape[axis] // side
    (weights,) = attention_maps(layer, features, strip=found).values()
    return {f"strip {strip}": weights}


def attention_maps(layer, inputs, pixel=None, strip=None):
    """Computes the attention maps of a layer from its input features.

    | layer | arrays |
    | --- | --- |
    | `CrissCrossAttention` | `"after 1 loop"`, `"after 2 loops"`, ...: where the pixel looks |
    | `NonLocal` | `"attention"`: where the pixel looks |
    | `StripAttention` | `"strips"`: where the pixel looks; all pixels of a strip have one weight |
    | `ExpectationMaximizationAttention` | `"base 0"`, ...: the pixels that belong to each base |
    | `FeatureCrossAttention` | `"spatial"`, a map, and `"channel"`, a vector, if there is one |
    | `CCBAM` | the maps `"spatial_high"`, `"spatial_low"`, the vectors `"channel_high"`, ... |
    | `AttentionFusion` | `"fusion"`, a vector: the weight of the high level in every channel |
    | `SEASPP` | `"channel"`, a vector |

    Your own layer works too, if it has a method `attention(inputs, pixel=None)` that returns a dict
    from names to tensors: maps `(batch, height, width)` and vectors `(batch, channels)`.

    The map of a pixel sums to one. After two loops of criss-cross attention, the map is the product
    of both loops, `sum over v of A2[u, v] A1[v, w]`, as in figure 6 of the CCNet paper: each pixel
    gathers from its row and column, whose pixels have already gathered from theirs.

    Args:
        layer: A layer of the table, or another layer with a method `attention`.
        inputs: The inputs of the layer for one image: a tensor or array
            `(1, height, width, channels)`, or a list of two of them.
        pixel: Tuple `(row, column)` of the map, for the first three layers of the table. Defaults
            to `None`.
        strip: Integer, a strip of a `StripAttention`, to see which pixels look at it. Not with
            `pixel`. Defaults to `None`.

    Returns:
        Dict from names to float arrays: maps `(height, width)` and vectors `(channels,)`.

    Raises:
        TypeError: If the layer has no method `attention`.
        ValueError: If there is more than one image, the pixel is missing or outside the map,
            `strip` is given for another layer, or both are given.

    Example:

    >>> layer = keras_segattn.layers.StripAttention(key_filters=8)
    >>> maps = attention_maps(layer, np.ones((1, 6, 9, 16), "float32"), pixel=(2, 3))
    >>> maps["strips"].shape, round(float(maps["strips"].sum()), 3)
    ((6, 9), 1.0)
    """
    if not _has_attention(layer):
        raise TypeError(
            "`layer` must have a method `attention(inputs, pixel=None)`, as the attention layers "
            f"of keras_segattn.layers have. Received: {layer!r}"
        )
    _check_one(pixel, strip)
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
    images = keras.tree.flatten(inputs)[0].shape[0]
    if images != 1:
        raise ValueError(f"The features must belong to one image. Received a batch of {images}")
    if not layer.built:
        layer.build(keras.tree.map_structure(lambda x: tuple(x.shape), inputs))
    if strip is None:
        maps = layer.attention(inputs, pixel=pixel)
    else:
        _check_strips(layer)
        maps = layer.attention(inputs, strip=strip)
    return {name: _to_numpy(tensor)[0] for name, tensor in maps.items()}


def _find_layers(model):
    """Returns a dict from names to the layers with attention, each after the models around it."""
    found = {}
    for layer in model.layers:
        if _has_attention(layer):
            found[layer.name] = [layer]
        elif isinstance(layer, keras.Model):
            inner = _find_layers(layer)
            found |= {f"{layer.name}/{name}": [layer, *path] for name, path in inner.items()}
    return found


def _features(model, path, images):
    """Returns the inputs of the last layer of a path, for images."""
    for layer in path:
        # `model.input` is the model's own input, not the tensor on which another model calls it.
        (node,) = (
            node
            for nodes in model._nodes_by_depth.values()
            for node in nodes
            if node.operation is layer
        )
        images = keras.Model(model.inputs, node.arguments.args[0])(images, training=False)
        model = layer
    return images


def _has_attention(layer):
    # A layer of another library may have a sublayer with this name.
    return inspect.ismethod(getattr(layer, "attention", None))


def _check_one(pixel, strip):
    if pixel is not None and strip is not None:
        raise ValueError(
            "`pixel` shows where a pixel looks, `strip` which pixels look at a strip: give one of "
            f"them. Received: pixel={tuple(pixel)}, strip={strip}"
        )


def _has_strips(layer):
    return "strip" in inspect.signature(layer.attention).parameters


def _check_strips(layer):
    if not _has_strips(layer):
        raise ValueError(
            f"`strip` is for StripAttention. Layer {layer.name!r} is a {type(layer).__name__}: "
            "give `pixel` instead."
        )


def _to_numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))
