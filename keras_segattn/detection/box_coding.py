"""Encodes boxes as shifts and scalings of anchors."""

import math

from keras import ops

# Limits the size of a box relative to its anchor, so that the exponential stays finite.
LARGEST_SCALE = math.log(1000 / 16)
# Shorter sides count as a thousandth of a pixel, so that the logarithm stays finite.
SMALLEST_SIDE = 1e-3


def encode_boxes(boxes, anchors, weights=(1, 1, 1, 1)):
    """Encodes boxes as shifts of anchor centers and logarithms of anchor scales.

    ```
    dx = weights[0] * (center_x(box) - center_x(anchor)) / width(anchor)
    dy = weights[1] * (center_y(box) - center_y(anchor)) / height(anchor)
    dw = weights[2] * log(width(box) / width(anchor))
    dh = weights[3] * log(height(box) / height(anchor))
    ```

    Args:
        boxes: Tensor of shape `(..., 4)`, boxes `(x1, y1, x2, y2)` in pixels.
        anchors: Tensor of boxes of the same shape, or one that broadcasts to it.
        weights: Four factors. Defaults to `(1, 1, 1, 1)`, as for region proposals; the box head
            of Mask R-CNN uses `(10, 10, 5, 5)`.

    Returns:
        float32 tensor of shape `(..., 4)`. Sides below 0.001 pixels count as 0.001.

    Example:

    >>> box, anchor = np.array([[10.0, 0.0, 30.0, 10.0]]), np.array([[0.0, 0.0, 20.0, 10.0]])
    >>> keras.ops.convert_to_numpy(encode_boxes(box, anchor)).tolist()
    [[0.5, 0.0, 0.0, 0.0]]

    Reference:
        "Rich feature hierarchies for accurate object detection and semantic segmentation"
        (Girshick et al., 2014), appendix C.
    """
    center, size = _center_and_size(boxes)
    anchor_center, anchor_size = _center_and_size(anchors)
    size, anchor_size = ops.maximum(size, SMALLEST_SIDE), ops.maximum(anchor_size, SMALLEST_SIDE)
    shift = (center - anchor_center) / anchor_size
    scale = ops.log(size / anchor_size)
    return ops.concatenate([shift, scale], axis=-1) * ops.convert_to_tensor(weights, "float32")


def decode_boxes(deltas, anchors, weights=(1, 1, 1, 1)):
    """Inverts `encode_boxes`.

    Args:
        deltas: Tensor of shape `(..., 4)`, shifts and logarithms of scales. A box is at most 62.5
            times as wide and high as its anchor.
        anchors: Tensor of boxes `(x1, y1, x2, y2)` of the same shape, or one that broadcasts to it.
        weights: Four factors, as in `encode_boxes`. Defaults to `(1, 1, 1, 1)`.

    Returns:
        float32 tensor of shape `(..., 4)`, boxes `(x1, y1, x2, y2)`.

    Example:

    >>> deltas, anchor = np.array([[0.5, 0.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 20.0, 10.0]])
    >>> keras.ops.convert_to_numpy(decode_boxes(deltas, anchor)).tolist()
    [[10.0, 0.0, 30.0, 10.0]]
    """
    deltas = ops.cast(deltas, "float32") / ops.convert_to_tensor(weights, "float32")
    anchor_center, anchor_size = _center_and_size(anchors)
    center = anchor_center + deltas[..., :2] * anchor_size
    half = ops.exp(ops.minimum(deltas[..., 2:], LARGEST_SCALE)) * anchor_size / 2
    return ops.concatenate([center - half, center + half], axis=-1)


def clip_boxes(boxes, image):
    """Clips boxes `(batch, count, 4)` to the borders of their images.

    Args:
        boxes: Tensor of shape `(batch, count, 4)`.
        image: Tensor of shape `(batch, height, width, channels)`; or `(batch, 2)`, the height and
            width of each image without padding.
    """
    if len(image.shape) == 2:
        height, width = (ops.cast(image[:, i : i + 1], "float32") for i in range(2))
    else:
        height, width = (ops.cast(size, "float32") for size in ops.shape(image)[1:3])
    edges = [
        ops.minimum(ops.maximum(boxes[..., i], 0.0), end)
        for i, end in enumerate((width, height, width, height))
    ]
    return ops.stack(edges, axis=-1)


def has_area(boxes):
    """Returns whether each box has positive width and height."""
    return ops.logical_and(boxes[..., 2] > boxes[..., 0], boxes[..., 3] > boxes[..., 1])


def _center_and_size(boxes):
    boxes = ops.cast(boxes, "float32")
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + size / 2, size
