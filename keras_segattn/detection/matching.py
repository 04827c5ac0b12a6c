"""Matches boxes with their target objects for training."""

from keras import ops
from keras.utils.bounding_boxes import compute_iou

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


def match_boxes(boxes, objects, present, positive_iou, negative_iou, every_object=False):
    """Finds the object of each box.

    Args:
        boxes: Tensor `(batch, count, 4)`, or `(count, 4)` of boxes shared by all images.
        objects: Tensor `(batch, objects, 4)`, the boxes of the objects.
        present: Boolean tensor `(batch, objects)`, `False` for padding.
        positive_iou: Float, the minimum intersection over union for a box to match an object.
        negative_iou: Float, the intersection over union below which a box matches no object. Boxes
            between the two values are ignored.
        every_object: Boolean, whether the boxes that overlap an object most always match it.
            Defaults to `False`.

    Returns:
        Tuple of integer tensors `(batch, count)`: the index of the object that a box overlaps most,
        and a label: 1 for a match, 0 for no object, -1 for an ignored box.
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
    """Samples the same number of boxes in every image, with and without objects.

    Args:
        label: Integer tensor `(batch, boxes)` from `match_boxes`.
        noise: Tensor `(batch, boxes)` of random numbers, at least 0 and below 1.
        count: Integer, the number of boxes to sample.
        most_positive: Integer, the maximum number of boxes with an object.

    Returns:
        Tuple of `(batch, count)` tensors: the indices of the boxes, and two float32 tensors of 0
        and 1 that mark boxes with an object and sampled boxes. Boxes with an object come first, and
        padding comes last.
    """
    positive = ops.where(label == POSITIVE, noise, -1.0)
    least = ops.top_k(positive, most_positive)[0][:, -1:]
    chosen = ops.logical_and(label == POSITIVE, positive >= least)
    rank = ops.where(label == NEGATIVE, 1 + noise, 0.0)
    rank, index = ops.top_k(ops.where(chosen, 2 + noise, rank), count)
    return index, ops.cast(rank >= 2, "float32"), ops.cast(rank >= 1, "float32")
