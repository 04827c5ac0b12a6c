"""Matching of boxes with the objects that they are trained towards."""

from keras import ops
from keras.utils.bounding_boxes import compute_iou

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


def match_boxes(boxes, objects, present, positive_iou, negative_iou, every_object=False):
    """Finds the object of each box.

    Args:
        boxes: Tensor `(batch, count, 4)`, or `(count, 4)` of boxes that all images share.
        objects: Tensor `(batch, objects, 4)`, the boxes of objects.
        present: Boolean tensor `(batch, objects)`, `False` for objects that only fill up.
        positive_iou: Float, the intersection over union from which a box shows an object.
        negative_iou: Float, the intersection over union below which it shows none. Boxes between
            the two are ignored.
        every_object: Boolean, whether the boxes that overlap an object most show it in any case.
            Defaults to `False`.

    Returns:
        Tuple of integer tensors `(batch, count)`: the index of the object that a box overlaps most,
        and 1 for a box that shows it, 0 for one that shows none, and -1 for one to be ignored.
    """
    present = ops.expand_dims(present, 1)
    iou = ops.where(present, compute_iou(boxes, objects, "xyxy"), -1.0)  # (batch, count, objects)
    best = ops.max(iou, axis=-1)
    label = ops.where(best < negative_iou, NEGATIVE, IGNORED)
    label = ops.where(best >= positive_iou, POSITIVE, label)
    if every_object:
        most = ops.max(iou, axis=1, keepdims=True)
        closest = ops.logical_and(iou >= most, most > 0)
        label = ops.where(ops.any(closest, axis=-1), POSITIVE, label)
    return ops.argmax(iou, axis=-1), label


def sample_labels(label, noise, count, most_positive):
    """Draws as many boxes of every image, some with an object and the rest without.

    Args:
        label: Integer tensor `(batch, boxes)` of `match_boxes`.
        noise: Tensor `(batch, boxes)` of random numbers from 0 to 1, without 1.
        count: Integer, the number of boxes to draw.
        most_positive: Integer, the most boxes with an object.

    Returns:
        Tuple of `(batch, count)` tensors: the indices of the boxes, and float32 weights 1 or 0 that
        tell which boxes show an object, and which were drawn at all. Boxes with an object come
        first, and boxes that fill up last.
    """
    positive = ops.where(label == POSITIVE, noise, -1.0)
    least = ops.top_k(positive, most_positive)[0][:, -1:]
    chosen = ops.logical_and(label == POSITIVE, positive >= least)
    rank = ops.where(label == NEGATIVE, 1 + noise, 0.0)
    rank, index = ops.top_k(ops.where(chosen, 2 + noise, rank), count)
    return index, ops.cast(rank >= 2, "float32"), ops.cast(rank >= 1, "float32")
