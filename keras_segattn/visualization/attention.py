"""What the attention layers look at, as arrays, computed by the layers themselves."""

import functools

import keras
import numpy as np

from keras_segattn.layers import (
    CCBAM,
    SEASPP,
    AttentionFusion,
    CrissCrossAttention,
    FeatureCrossAttention,
    NonLocal,
    StripAttention,
)

ATTENTION_LAYERS = (
    CCBAM,
    SEASPP,
    AttentionFusion,
    CrissCrossAttention,
    FeatureCrossAttention,
    StripAttention,
)


def attention_layers(model):
    """Returns the names of the layers of a model that `model_attention` shows, first to last.

    Args:
        model: A functional model, such as a network of `keras_segattn.applications`.

    Example:

    >>> attention_layers(keras_segattn.applications.CrossCBAM(classes=2))
    ['context', 'fusion1', 'fusion2']
    """
    return [layer.name for layer in model.layers if isinstance(layer, ATTENTION_LAYERS)]


def model_attention(model, image, pixel=None, layer=None):
    """Computes what an attention layer of a network looks at in an image.

    Args:
        model: A network of `keras_segattn.applications`.
        image: uint8 array of shape `(height, width, channels)`.
        pixel: Tuple `(row, column)` of a pixel of the image, for layers in which every pixel has
            attention of its own: `CrissCrossAttention`, `NonLocal` and `StripAttention`. The
            others do without. Defaults to `None`.
        layer: Name of the layer; may be left out where there is one alone. Defaults to `None`.

    Returns:
        Dict from names to arrays, as `attention_maps` returns it. Maps have the size of the map
        that the layer sees, not of the image.

    Raises:
        ValueError: If the layer is not named and there are several, if the model has none of that
            name, or if the pixel is missing or outside the image.

    Example:

    >>> model = keras_segattn.applications.CCNet(backbone="resnet18", classes=2)
    >>> maps = model_attention(model, np.zeros((64, 96, 3), "uint8"), pixel=(20, 50))
    >>> {name: map.shape for name, map in maps.items()}
    {'after 1 loop': (8, 12), 'after 2 loops': (8, 12)}
    """
    image = np.asarray(image)
    names = attention_layers(model)
    if layer is None and len(names) == 1:
        (layer,) = names
    if layer not in names:
        raise ValueError(f"`layer` must be one of {names}. Received: {layer!r}")
    layer = model.get_layer(layer)
    features = keras.Model(model.inputs, layer.input)(
        model.preprocessing(image[None]), training=False
    )
    if pixel is not None:
        _check_inside(pixel, image.shape[:2])
        size = keras.tree.flatten(features)[0].shape[1:3]
        pixel = tuple(
            int(p) * s // side for p, s, side in zip(pixel, size, image.shape[:2], strict=True)
        )
    return attention_maps(layer, features, pixel)


def attention_maps(layer, inputs, pixel=None):
    """Computes what an attention layer looks at, given the features that it is called with.

    | layer | arrays |
    | --- | --- |
    | `CrissCrossAttention` | `"after 1 loop"`, `"after 2 loops"`, ...: where the pixel looks |
    | `NonLocal` | `"attention"`: where the pixel looks |
    | `StripAttention` | `"strips"`: where the pixel looks; all pixels of a strip have one weight |
    | `FeatureCrossAttention` | `"spatial"`, a map, and `"channel"`, a vector, if there is one |
    | `CCBAM` | the maps `"spatial_high"`, `"spatial_low"`, the vectors `"channel_high"`, ... |
    | `AttentionFusion` | `"fusion"`, a vector: the weight of the high level in every channel |
    | `SEASPP` | `"channel"`, a vector |

    Where a pixel looks sums to one over the map. After two loops of criss-cross attention that is
    the product of both: the pixel gathers from its row and column what those pixels gathered from
    theirs, `sum over v of A2[u, v] A1[v, w]`, as in figure 6 of the paper of CCNet.

    Args:
        layer: A built layer of the table.
        inputs: What it is called with, for one image: a tensor or array
            `(1, height, width, channels)`, or a list of two.
        pixel: Tuple `(row, column)` of the map, for the first three. Defaults to `None`.

    Returns:
        Dict from names to float arrays: maps `(height, width)` and vectors `(channels,)`.

    Raises:
        TypeError: If the layer is not in the table.
        ValueError: If there is more than one image, or if the pixel is missing or outside the map.

    Example:

    >>> layer = keras_segattn.layers.StripAttention(key_filters=8)
    >>> maps = attention_maps(layer, np.ones((1, 6, 9, 16), "float32"), pixel=(2, 3))
    >>> maps["strips"].shape, round(float(maps["strips"].sum()), 3)
    ((6, 9), 1.0)
    """
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
    images = keras.tree.flatten(inputs)[0].shape[0]
    if images != 1:
        raise ValueError(f"The features must be those of one image. Received: {images} images")
    if not layer.built:
        layer.build(keras.tree.map_structure(lambda x: tuple(x.shape), inputs))
    return _maps(layer, inputs, pixel)


@functools.singledispatch
def _maps(layer, inputs, pixel):
    known = ", ".join(kind.__name__ for kind in ATTENTION_LAYERS)
    raise TypeError(f"There are maps of {known} and NonLocal. Received: {layer!r}")


@_maps.register
def _(layer: CrissCrossAttention, x, pixel):
    _check_pixel(layer, x, pixel)
    loops = [_to_numpy(scores)[0] for scores in layer.attention(x)]
    maps = {}
    for count in range(1, len(loops) + 1):
        weights = np.zeros(x.shape[1:3])
        weights[tuple(pixel)] = 1
        # The last loop is the first that is gone back through.
        for scores in reversed(loops[:count]):
            weights = _gathered(weights, scores)
        maps[f"after {count} loop{'s' * (count > 1)}"] = weights
    return maps


def _gathered(weights, scores):
    """Hands the weight of every pixel on to the column and row that the pixel looks at."""
    height = len(weights)
    columns = np.einsum("ij,ijr->rj", weights, scores[..., :height])
    rows = np.einsum("ij,ijc->ic", weights, scores[..., height:])
    return columns + rows


@_maps.register
def _(layer: NonLocal, x, pixel):
    _check_pixel(layer, x, pixel)
    (scores,) = layer.attention(x)
    return {"attention": _to_numpy(scores)[(0, *pixel)].reshape(x.shape[1:3])}


@_maps.register
def _(layer: StripAttention, x, pixel):
    _check_pixel(layer, x, pixel)
    strips = _to_numpy(layer.attention(x))[(0, *pixel)]
    height, width = x.shape[1:3]
    # Keys and values are means over a strip, so that its pixels share its weight.
    shared = strips / height if layer.orientation == "vertical" else strips[:, None] / width
    return {"strips": np.broadcast_to(shared, (height, width)).copy()}


@_maps.register
def _(layer: FeatureCrossAttention, inputs, pixel):
    where, what = layer.attention(inputs)
    maps = {"spatial": _map(where)}
    return maps if what is None else {**maps, "channel": _vector(what)}


@_maps.register
def _(layer: CCBAM, inputs, pixel):
    channel_high, channel_low, spatial_high, spatial_low = layer.attention(inputs)
    return {
        "spatial_high": _map(spatial_high),
        "spatial_low": _map(spatial_low),
        "channel_high": _vector(channel_high),
        "channel_low": _vector(channel_low),
    }


@_maps.register
def _(layer: AttentionFusion, inputs, pixel):
    return {"fusion": _vector(layer.attention(inputs))}


@_maps.register
def _(layer: SEASPP, x, pixel):
    return {"channel": _vector(layer.attention(x))}


def _check_pixel(layer, x, pixel):
    if pixel is None:
        raise ValueError(
            f"In {type(layer).__name__} every pixel has attention of its own: give `pixel=(row, "
            "column)`."
        )
    _check_inside(pixel, x.shape[1:3])


def _check_inside(pixel, size):
    if len(pixel) != 2 or not all(0 <= p < side for p, side in zip(pixel, size, strict=True)):
        raise ValueError(
            f"`pixel` must be a (row, column) inside {tuple(size)}. Received: {tuple(pixel)}"
        )


def _map(tensor):
    return _to_numpy(tensor)[0, ..., 0]


def _vector(tensor):
    return _to_numpy(tensor)[0, 0, 0]


def _to_numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))
