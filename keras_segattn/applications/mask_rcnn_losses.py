"""The losses of Mask R-CNN, and the sampling of their boxes."""

import keras
from keras import ops

from keras_segattn.detection.box_coding import encode_boxes, has_area
from keras_segattn.detection.box_selection import BOX_WEIGHTS
from keras_segattn.detection.gathering import gather_rows
from keras_segattn.detection.matching import IGNORED, match_boxes, sample_labels
from keras_segattn.detection.roi_align import sample_boxes

# The values of maskrcnn-benchmark.
REGION_IOUS, REGION_SAMPLES, REGION_POSITIVES = (0.7, 0.3), 256, 128
REGION_BETA, BOX_BETA = 1 / 9, 1.0
BOX_IOU = 0.5


def present_objects(objects, classes):
    """Returns a Boolean tensor: `False` for padding, of class -1, and for boxes without area."""
    return ops.logical_and(ops.cast(classes, "int32") >= 0, has_area(objects))


def region_losses(objectness, deltas, anchors, objects, present, seed):
    """Returns the losses of the region proposals: `region` for objectness, `region_box` for boxes.

    Args:
        objectness: Tensor of shape `(batch, anchors)`, logits.
        deltas: Tensor of shape `(batch, anchors, 4)`, box encodings.
        anchors: Tensor of shape `(anchors, 4)`.
        objects: Tensor of shape `(batch, objects, 4)`.
        present: Boolean tensor of shape `(batch, objects)`.
        seed: `keras.random.SeedGenerator`.
    """
    index, label = match_boxes(anchors, objects, present, *REGION_IOUS, every_object=True)
    noise = keras.random.uniform(ops.shape(label), seed=seed, dtype="float32")
    sample, positive, drawn = sample_labels(label, noise, REGION_SAMPLES, REGION_POSITIVES)
    total = _at_least_one(drawn)
    cross_entropy = _sigmoid_cross_entropy(gather_rows(objectness, sample), positive)
    objects = gather_rows(objects, gather_rows(index, sample))
    wanted = encode_boxes(objects, ops.take(anchors, sample, axis=0))
    distance = _smooth_l1(gather_rows(deltas, sample) - wanted, REGION_BETA)
    return {
        "region": ops.sum(cross_entropy * drawn) / total,
        "region_box": ops.sum(distance * positive) / total,
    }


def sample_proposals(proposals, scores, objects, present, count, seed):
    """Samples the boxes that train the heads; at most a quarter of them contain an object.

    Args:
        proposals: Tensor of shape `(batch, proposals, 4)`.
        scores: Tensor of shape `(batch, proposals)`; negative for no proposal.
        objects: Tensor of shape `(batch, objects, 4)`; they are added to the proposals.
        present: Boolean tensor of shape `(batch, objects)`.
        count: Integer, the number of boxes per image.
        seed: `keras.random.SeedGenerator`.

    Returns:
        Tuple of the boxes `(batch, count, 4)`, the indices of their objects, and two float32
        tensors of 0 and 1 that mark boxes with an object and sampled boxes. See `sample_labels`.
    """
    boxes = ops.concatenate([proposals, objects], axis=1)
    usable = ops.concatenate([scores >= 0, present], axis=1)
    index, label = match_boxes(boxes, objects, present, BOX_IOU, BOX_IOU)
    label = ops.where(usable, label, IGNORED)
    noise = keras.random.uniform(ops.shape(label), seed=seed, dtype="float32")
    sample, positive, drawn = sample_labels(label, noise, count, max(count // 4, 1))
    return gather_rows(boxes, sample), gather_rows(index, sample), positive, drawn


def box_losses(logits, deltas, boxes, objects, classes, positive, drawn):
    """Returns the losses of the box head: `classification`, and `box` for boxes with an object.

    Args:
        logits: Tensor of shape `(batch, count, 1 + classes)`.
        deltas: Tensor of shape `(batch, count, 1 + classes, 4)`.
        boxes: Tensor of shape `(batch, count, 4)`.
        objects: Tensor of shape `(batch, count, 4)`, the object of each box.
        classes: Integer tensor of shape `(batch, count)`, the class of that object, from 1; 0
            without an object.
        positive: Tensor of shape `(batch, count)`, 1 for a box with an object.
        drawn: Tensor of shape `(batch, count)`, 1 for a sampled box.
    """
    total = _at_least_one(drawn)
    chosen = ops.one_hot(classes, logits.shape[-1], dtype="float32")
    cross_entropy = -ops.sum(chosen * ops.log_softmax(logits, axis=-1), axis=-1)
    own = ops.sum(deltas * ops.expand_dims(chosen, -1), axis=2)
    distance = _smooth_l1(own - encode_boxes(objects, boxes, BOX_WEIGHTS), BOX_BETA)
    return {
        "classification": ops.sum(cross_entropy * drawn) / total,
        "box": ops.sum(distance * positive) / total,
    }


def mask_loss(logits, masks, index, boxes, positive, image):
    """Returns the loss of the mask head: cross-entropy per pixel over the boxes with an object.

    Args:
        logits: Tensor of shape `(batch, count, size, size)`, for the class of each box.
        masks: Tensor of shape `(batch, objects, rows, columns)` from 0 to 1; it covers the image at
            any scale.
        index: Integer tensor of shape `(batch, count)`, the object of each box.
        boxes: Tensor of shape `(batch, count, 4)`.
        positive: Tensor of shape `(batch, count)`, 1 for a box with an object.
        image: Tensor of shape `(batch, height, width, channels)`.
    """
    wanted = mask_targets(masks, index, boxes, logits.shape[-1], image)
    cross_entropy = ops.mean(_sigmoid_cross_entropy(logits, wanted), axis=(2, 3))
    return {"mask": ops.sum(cross_entropy * positive) / _at_least_one(positive)}


def mask_targets(masks, index, boxes, size, image):
    """Returns the masks of objects within boxes, `(batch, count, size, size)` zeros and ones."""
    batch, objects, rows, columns = ops.shape(masks)
    height, width = ops.shape(image)[1:3]
    y, x = (
        ops.cast(cells, "float32") / ops.cast(pixels, "float32")
        for cells, pixels in ((rows, height), (columns, width))
    )
    first = ops.expand_dims(ops.arange(0, batch, 1, dtype="int32") * objects, 1)
    starts = (first + ops.cast(index, "int32")) * (rows * columns)
    sampled = sample_boxes(
        ops.reshape(ops.cast(masks, "float32"), (-1, 1)),
        starts,
        (ops.zeros_like(starts) + rows, ops.zeros_like(starts) + columns),
        ops.stop_gradient(boxes) * ops.stack([x, y, x, y]),
        size,
        samples=2,
        aligned=True,
    )
    return ops.cast(ops.squeeze(sampled, -1) >= 0.5, "float32")


def _at_least_one(weights):
    return ops.maximum(ops.sum(weights), 1.0)


def _sigmoid_cross_entropy(logits, wanted):
    return ops.maximum(logits, 0) - logits * wanted + ops.log1p(ops.exp(-ops.abs(logits)))


def _smooth_l1(difference, beta):
    """Sum over the four numbers of a box: quadratic below `beta`, linear above."""
    size = ops.abs(difference)
    loss = ops.where(size < beta, 0.5 * ops.square(size) / beta, size - 0.5 * beta)
    return ops.sum(loss, axis=-1)
