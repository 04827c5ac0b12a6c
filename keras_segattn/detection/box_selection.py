"""Selection of the boxes that Mask R-CNN returns."""

import keras
from keras import ops

from keras_segattn.detection.box_coding import clip_boxes, decode_boxes, has_area
from keras_segattn.detection.gathering import gather_rows
from keras_segattn.detection.non_maximum_suppression import NonMaximumSuppression

BOX_WEIGHTS = (10, 10, 5, 5)


@keras.saving.register_keras_serializable(package="keras_segattn")
class BoxSelection(keras.layers.Layer):
    """Refines the proposals and keeps the best boxes of each class.

    `box = clip(decode(deltas of the class, proposal))` for the `candidates` pairs of proposal and
    class with the highest probability, followed by non-maximum suppression per class.

    Args:
        count: Integer, the number of boxes per image. Defaults to `100`.
        score_threshold: Float, the probability that a box must exceed. Defaults to `0.05`.
        iou_threshold: Float, the intersection over union above which the box with the lower score
            is dropped, within a class. Defaults to `0.5`.
        candidates: Integer, the maximum number of boxes to choose from. Defaults to `1000`.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        proposals: Tensor of shape `(batch, proposals, 4)`.
        proposal_scores: Tensor of shape `(batch, proposals)`; a negative score means no proposal.
        logits: Tensor of shape `(batch, proposals, 1 + classes)`, the background first.
        deltas: Tensor of shape `(batch, proposals, 1 + classes, 4)`.
        image: Tensor of shape `(batch, height, width, channels)`, used only for its size; or
            `(batch, 2)`, the height and width of each image without padding.

    Returns:
        Tuple of boxes `(batch, count, 4)`, scores `(batch, count)`, the highest first, and int32
        classes `(batch, count)`. If fewer boxes remain, the last boxes are zero, with score 0 and
        class -1.

    **Differences from maskrcnn-benchmark**: there, the number of candidates is unlimited. Here it
    is fixed, which matters only if more than `candidates` boxes exceed the threshold.
    """

    def __init__(
        self, count=100, score_threshold=0.05, iou_threshold=0.5, candidates=1000, **kwargs
    ):
        super().__init__(**{"autocast": False, **kwargs})
        self.count = count
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.candidates = candidates
        self.suppression = NonMaximumSuppression(iou_threshold)

    def build(
        self, proposals_shape, proposal_scores_shape, logits_shape, deltas_shape, image_shape
    ):
        self.suppression.built = True

    def call(self, proposals, proposal_scores, logits, deltas, image):
        count, classes = logits.shape[1], logits.shape[2] - 1
        scores = ops.softmax(ops.cast(logits, "float32"), axis=-1)[..., 1:]
        scores = ops.where(ops.expand_dims(proposal_scores, -1) < 0, 0.0, scores)
        scores = ops.reshape(scores, (-1, count * classes))
        candidates = min(max(self.candidates, self.count), count * classes)
        scores, best = ops.top_k(scores, candidates)
        proposal, label = best // classes, best % classes  # (batch, candidates)
        deltas = ops.reshape(deltas, (-1, count * (1 + classes), 4))
        deltas = gather_rows(deltas, proposal * (1 + classes) + 1 + label)
        boxes = decode_boxes(deltas, gather_rows(proposals, proposal), BOX_WEIGHTS)
        boxes = clip_boxes(boxes, image)
        usable = ops.logical_and(scores > self.score_threshold, has_area(boxes))
        scores = ops.where(usable, scores, 0.0)
        keep = ops.logical_and(self.suppression(boxes, scores, label), usable)
        scores, best = ops.top_k(ops.where(keep, scores, 0.0), min(self.count, candidates))
        boxes, label = gather_rows(boxes, best), gather_rows(label, best)
        empty = scores <= 0
        boxes = ops.where(ops.expand_dims(empty, -1), 0.0, boxes)
        label = ops.where(empty, -1, ops.cast(label, "int32"))
        missing = self.count - candidates
        if missing > 0:
            boxes = ops.pad(boxes, ((0, 0), (0, missing), (0, 0)))
            scores = ops.pad(scores, ((0, 0), (0, missing)))
            label = ops.pad(label, ((0, 0), (0, missing)), constant_values=-1)
        return boxes, scores, label

    def compute_output_spec(self, proposals, proposal_scores, logits, deltas, image):
        shape = (proposals.shape[0], self.count)
        return (
            keras.KerasTensor((*shape, 4), "float32"),
            keras.KerasTensor(shape, "float32"),
            keras.KerasTensor(shape, "int32"),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "count": self.count,
            "score_threshold": self.score_threshold,
            "iou_threshold": self.iou_threshold,
            "candidates": self.candidates,
        }
