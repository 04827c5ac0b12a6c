"""Anchors: boxes of fixed sizes and aspect ratios around every position of a feature map."""

import numpy as np
from keras import ops

STYLES = ("torchvision", "maskrcnn_benchmark")


def level_stride(level):
    """Returns the stride of a pyramid level by its name, such as 16 for `"P4"`."""
    return 2 ** int(level[1:])


def level_anchors(height, width, stride, size, ratios, style="torchvision"):
    """Returns the anchors of one feature map, position by position, row by row.

    An anchor with aspect ratio `r` has width `size / sqrt(r)` and height `size * sqrt(r)`. It is
    centered at the upper left corner of its position, with edges rounded to whole pixels, as in
    torchvision. With `"maskrcnn_benchmark"`, it is centered at the center of its position, and the
    sides are rounded to whole strides.

    Args:
        height: Height of the map; an integer, or a scalar tensor.
        width: Width of the map, likewise.
        stride: Integer, the distance of positions in image pixels.
        size: Number, the square root of the area of an anchor in pixels.
        ratios: Sequence of heights over widths.
        style: One of `STYLES`. Defaults to `"torchvision"`.

    Returns:
        float32 tensor of shape `(height * width * len(ratios), 4)`, boxes `(x1, y1, x2, y2)`.
    """
    shapes = _shapes(stride, size, np.asarray(ratios, "float64"), style)
    y = ops.cast(ops.arange(0, height, 1, dtype="int32") * stride, "float32")
    x = ops.cast(ops.arange(0, width, 1, dtype="int32") * stride, "float32")
    y = ops.reshape(y, (-1, 1, 1, 1))
    x = ops.reshape(x, (1, -1, 1, 1))
    # (height, width, ratios, 1)
    x1, y1, x2, y2 = (
        position + ops.convert_to_tensor(edge.reshape(1, 1, -1, 1), "float32") + 0 * other
        for position, other, edge in zip((x, y, x, y), (y, x, y, x), shapes.T, strict=True)
    )
    return ops.reshape(ops.concatenate([x1, y1, x2, y2], axis=-1), (-1, 4))


def _shapes(stride, size, ratios, style):
    """Returns the anchors of the first position."""
    if style == "torchvision":
        heights, widths = size * np.sqrt(ratios), size / np.sqrt(ratios)
        return np.round(np.stack([-widths, -heights, widths, heights], axis=1) / 2)
    # The pixel from 0 to 1 is box (0, 0) to (0, 0) there, and (0, 0) to (1, 1) here.
    widths = np.round(stride / np.sqrt(ratios))
    heights = np.round(widths * ratios)
    return (stride + np.stack([-widths, -heights, widths, heights], axis=1) * size / stride) / 2
