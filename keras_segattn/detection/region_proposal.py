"""Region proposals: the most promising boxes of a feature pyramid."""

import keras
from keras import ops

from keras_segattn.arguments import check_at_least, check_choice
from keras_segattn.detection.anchors import STYLES, level_anchors, level_stride
from keras_segattn.detection.box_coding import clip_boxes, decode_boxes, has_area
from keras_segattn.detection.gathering import gather_rows
from keras_segattn.detection.non_maximum_suppression import NonMaximumSuppression

ANCHOR_SIZES = {"P2": 32, "P3": 64, "P4": 128, "P5": 256, "P6": 512}
# Below every logit. Too small for half precision, but scores are float32 here.
NO_BOX = -1e30


@keras.saving.register_keras_serializable(package="keras_segattn")
class RegionProposal(keras.layers.Layer):
    """Turns the outputs of a region proposal network into boxes.

    ```
    boxes of a level  = clip(decode(deltas, anchors)), of its `count` best anchors
    boxes of an image = the `count` best of all levels that non-maximum suppression kept
    ```

    Args:
        count: Integer, the number of boxes per image, and the maximum per level. Defaults to
            `1000`.
        training_count: Integer, the same for `training=True`. Defaults to `2000`.
        iou_threshold: Float, the intersection over union above which the box with the lower score
            is dropped, within a level. Defaults to `0.7`.
        anchor_sizes: Dict from levels to the square root of their anchors' area in pixels. Level
            `"Pn"` has stride `2**n`. Defaults to 32 pixels for P2, 64 for P3, up to 512 for P6.
        aspect_ratios: Sequence of ratios of anchor height to anchor width. Defaults to
            `(0.5, 1.0, 2.0)`.
        anchor_style: `"torchvision"`, or `"maskrcnn_benchmark"` for anchors around the centers of
            positions, with its rounding; see `MaskRCNN`. Defaults to `"torchvision"`.
        **kwargs: `name` and `dtype`, as in every Keras layer. Boxes are float32 in any precision.

    Call arguments:
        objectness: Dict from levels to logits `(batch, height, width, ratios)`.
        deltas: Dict from levels to box encodings `(batch, height, width, 4 * ratios)`, with the
            four numbers of a ratio in sequence. See `decode_boxes`.
        image: Tensor of shape `(batch, height, width, channels)`, used only for its size; or
            `(batch, 2)`, the height and width of each image without padding.
        training: Boolean, whether to return `training_count` boxes. Defaults to `None`.

    Returns:
        Tuple of the boxes `(batch, count, 4)`, each `(x1, y1, x2, y2)` in pixels, and the scores
        `(batch, count)` from 0 to 1, the highest first. If fewer boxes remain, the last boxes are
        zero with score -1. No gradient flows through the result.

    Raises:
        ValueError: If a count is below 1.

    Example:

    >>> objectness = {"P4": np.ones((1, 2, 3, 3), "float32")}
    >>> deltas = {"P4": np.zeros((1, 2, 3, 12), "float32")}
    >>> image = np.zeros((1, 32, 48, 3), "float32")
    >>> boxes, scores = RegionProposal(5, anchor_sizes={"P4": 16})(objectness, deltas, image)
    >>> tuple(boxes.shape), tuple(scores.shape)
    ((1, 5, 4), (1, 5))

    Reference:
        "Faster R-CNN" (Ren et al., 2015), section 3.1, and "Feature Pyramid Networks for Object
        Detection" (Lin et al., 2017), section 4.1.

    **Differences from the paper**: the counts follow maskrcnn-benchmark. Without the sizes of the
    images, boxes of an image padded below and on the right may extend into the padding.
    """

    def __init__(
        self,
        count=1000,
        training_count=2000,
        iou_threshold=0.7,
        anchor_sizes=None,
        aspect_ratios=(0.5, 1.0, 2.0),
        anchor_style="torchvision",
        **kwargs,
    ):
        super().__init__(**{"autocast": False, **kwargs})
        check_at_least("count", count, 1)
        check_at_least("training_count", training_count, 1)
        check_choice("anchor_style", anchor_style, STYLES)
        self.count = count
        self.training_count = training_count
        self.iou_threshold = iou_threshold
        self.anchor_sizes = dict(ANCHOR_SIZES if anchor_sizes is None else anchor_sizes)
        self.aspect_ratios = tuple(aspect_ratios)
        self.anchor_style = anchor_style
        self.suppression = NonMaximumSuppression(iou_threshold)

    def build(self, objectness_shape, deltas_shape, image_shape):
        self.suppression.built = True

    def anchors(self, maps):
        """Returns the anchors for a dict of maps by level, as a dict of tensors `(anchors, 4)`."""
        return {
            level: level_anchors(
                *ops.shape(maps[level])[1:3],
                level_stride(level),
                size,
                self.aspect_ratios,
                self.anchor_style,
            )
            for level, size in self.anchor_sizes.items()
        }

    def call(self, objectness, deltas, image, training=None):
        count = self.training_count if training else self.count
        levels = [
            self._level_boxes(objectness[level], deltas[level], anchors, image, count)
            for level, anchors in self.anchors(objectness).items()
        ]
        boxes, logits = (ops.concatenate(parts, axis=1) for parts in zip(*levels, strict=True))
        # Ranked by logits, because many scores round to 1.
        logits, best = ops.top_k(logits, count)
        scores = ops.where(logits > NO_BOX, ops.sigmoid(logits), -1.0)
        return ops.stop_gradient(gather_rows(boxes, best)), ops.stop_gradient(scores)

    def _level_boxes(self, objectness, deltas, anchors, image, count):
        batch = ops.shape(objectness)[0]
        logits = ops.reshape(ops.cast(objectness, "float32"), (batch, -1))  # (batch, anchors)
        deltas = ops.reshape(deltas, (batch, -1, 4))
        # A small map has fewer anchors than the requested boxes.
        logits = ops.pad(logits, ((0, 0), (0, count)), constant_values=NO_BOX)
        deltas = ops.pad(deltas, ((0, 0), (0, count), (0, 0)))
        anchors = ops.pad(anchors, ((0, count), (0, 0)))
        logits, best = ops.top_k(logits, count)
        boxes = decode_boxes(gather_rows(deltas, best), ops.take(anchors, best, axis=0))
        boxes = clip_boxes(boxes, image)
        keep = ops.logical_and(self.suppression(boxes, logits), has_area(boxes))
        keep = ops.logical_and(keep, logits > NO_BOX)
        boxes = ops.where(ops.expand_dims(keep, -1), boxes, 0.0)
        return boxes, ops.where(keep, logits, NO_BOX)

    def compute_output_shape(self, objectness_shape, deltas_shape, image_shape):
        return (image_shape[0], self.count, 4), (image_shape[0], self.count)

    def compute_output_spec(self, objectness, deltas, image, training=None):
        count = self.training_count if training else self.count
        return (
            keras.KerasTensor((image.shape[0], count, 4), "float32"),
            keras.KerasTensor((image.shape[0], count), "float32"),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "count": self.count,
            "training_count": self.training_count,
            "iou_threshold": self.iou_threshold,
            "anchor_sizes": self.anchor_sizes,
            "aspect_ratios": list(self.aspect_ratios),
            "anchor_style": self.anchor_style,
        }
