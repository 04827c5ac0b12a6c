"""Figures of attention maps."""

import itertools

import keras
import numpy as np

from keras_segattn.visualization.figures import new_figure, save_figure


def heat_map(image, weights, alpha=0.65):
    """Draws a map of weights over an image, from the lowest (black) to the highest (yellow).

    Colors follow the square root of the weights, so that small weights stay visible beside a few
    large ones.

    Args:
        image: uint8 array of shape `(height, width, 3)`.
        weights: Array of shape `(map_height, map_width)`, resized to the image.
        alpha: Opacity of the map, from 0 to 1. Defaults to `0.65`.

    Returns:
        uint8 array of shape `(height, width, 3)`.

    Raises:
        ValueError: If `weights` is not a map.
    """
    weights = np.asarray(weights, dtype="float32")
    if weights.ndim != 2:
        raise ValueError(
            "`weights` must be a map of shape (height, width); draw vectors with "
            f"`plot_attention`. Received: shape {weights.shape}"
        )
    new_figure(1, 1)  # for its message where matplotlib is missing
    from matplotlib import colormaps

    spread = weights.max() - weights.min()
    level = np.sqrt((weights - weights.min()) / (spread if spread > 0 else 1))
    size = image.shape[:2]
    level = keras.ops.image.resize(level[..., None], size, interpolation="bilinear")
    level = keras.ops.convert_to_numpy(level)[..., 0]
    colors = 255 * colormaps["inferno"](level)[..., :3]
    # In gray, so that only the map has colors.
    gray = np.asarray(image, dtype="float32").mean(axis=-1, keepdims=True)
    return (alpha * colors + (1 - alpha) * gray).clip(0, 255).astype("uint8")


def plot_attention(path, image, maps, pixel=None, columns=()):
    """Writes a figure of a `model_attention` result: maps over the image, vectors as curves.

    Args:
        path: The file, in a format that matplotlib supports.
        image: uint8 array of shape `(height, width, 3)`.
        maps: Dict from names to maps `(map_height, map_width)` and vectors `(channels,)`.
        pixel: Tuple `(row, column)` of a pixel of the image to mark. Defaults to `None`.
        columns: Sequence of image columns to mark with a line each. Defaults to none.
    """
    height, width = image.shape[:2]
    panel = 4.0
    figure = new_figure(panel * (1 + len(maps)), panel * height / width + 0.4)
    first, *axes = figure.subplots(1, 1 + len(maps), squeeze=False)[0]
    first.imshow(image)
    first.set_title("image")
    first.set_axis_off()
    for axis, (name, weights) in zip(axes, maps.items(), strict=True):
        weights = np.asarray(weights)
        if weights.ndim == 2:
            axis.imshow(heat_map(image, weights))
            axis.set_axis_off()
            axis.set_title(f"{name}, {weights.min():.2g} to {weights.max():.2g}")
        else:
            axis.fill_between(range(len(weights)), np.sort(weights), alpha=0.6)
            axis.set_title(f"{name}, mean {weights.mean():.2g}")
            axis.set_xlabel("channels, sorted by weight")
            axis.set_ylim(min(0, weights.min()), max(1, weights.max()))
            axis.grid(alpha=0.3)
    if pixel is not None:
        for axis in (first, *(axis for axis in axes if axis.get_images())):
            for color, size in (("black", 13), ("lime", 9)):
                axis.plot(pixel[1], pixel[0], "+", color=color, markersize=size, mew=size / 4)
    for column, color in zip(columns, itertools.cycle(("yellow", "lime", "cyan")), strict=False):
        first.axvline(column, color=color, linewidth=2)
    save_figure(figure, path, dpi=100)
