"""Non-maximum suppression, exact and for whole batches."""

import keras
from keras import ops
from keras.utils.bounding_boxes import compute_iou


@keras.saving.register_keras_serializable(package="keras_segattn")
class NonMaximumSuppression(keras.layers.Layer):
    """Keeps the best of overlapping boxes.

    ```
    keep[i] = no j with keep[j], rank[j] < rank[i], class[j] = class[i]
              and intersection(i, j) / union(i, j) > iou_threshold
    ```

    `rank` orders the boxes of an image by score, the highest first, and boxes with equal scores by
    index. The result equals the greedy algorithm's, which repeatedly takes the best remaining box
    and drops the boxes that overlap it.

    The equation is applied to all boxes at once until nothing changes. The first step is correct
    for the best box, and every further step for at least one more box. In practice, a few steps are
    enough.

    Args:
        iou_threshold: Float from 0 to 1, the intersection over union above which a box is dropped.
            Defaults to `0.5`.
        **kwargs: `name` and `dtype`, as in every Keras layer. Boxes are compared in float32 in any
            precision.

    Call arguments:
        boxes: Tensor of shape `(batch, count, 4)`, boxes `(x1, y1, x2, y2)`.
        scores: Tensor of shape `(batch, count)`.
        classes: Integer tensor of shape `(batch, count)`; boxes of different classes do not
            suppress each other. Defaults to `None`, one class.

    Returns:
        Boolean tensor of shape `(batch, count)`, `True` for each kept box.

    Raises:
        ValueError: If `iou_threshold` is not between 0 and 1.

    Example:

    >>> boxes = np.array([[[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]]], "float32")
    >>> keep = NonMaximumSuppression()(boxes, np.array([[0.8, 0.9, 0.3]], "float32"))
    >>> keras.ops.convert_to_numpy(keep).tolist()
    [[False, True, True]]

    **Differences from TensorFlow**: `tf.image.non_max_suppression` takes one image and one class,
    and returns a variable number of indices.
    """

    def __init__(self, iou_threshold=0.5, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        if not 0 <= iou_threshold <= 1:
            raise ValueError(f"`iou_threshold` must be from 0 to 1. Received: {iou_threshold}")
        self.iou_threshold = iou_threshold

    def call(self, boxes, scores, classes=None):
        boxes, scores = (ops.stop_gradient(ops.cast(x, "float32")) for x in (boxes, scores))
        drops = compute_iou(boxes, boxes, "xyxy") > self.iou_threshold  # (batch, count, count)
        if classes is not None:
            drops = ops.logical_and(drops, _pairs(ops.equal, classes))
        drops = ops.cast(ops.logical_and(drops, _before(scores)), "float32")  # [b, i, j]: j drops i
        keep = ops.ones_like(scores)

        def step(keep, previous):
            # For each box, the number of kept boxes that suppress it.
            count = ops.squeeze(ops.matmul(drops, ops.expand_dims(keep, -1)), -1)
            return ops.cast(count < 0.5, "float32"), keep

        def changes(keep, previous):
            return ops.any(ops.not_equal(keep, previous))

        keep, _ = ops.while_loop(changes, step, (keep, ops.zeros_like(keep)))
        return keep > 0.5

    def compute_output_shape(self, boxes_shape, scores_shape, classes_shape=None):
        return scores_shape

    def compute_output_spec(self, boxes, scores, classes=None):
        return keras.KerasTensor(scores.shape, "bool")

    def get_config(self):
        return {**super().get_config(), "iou_threshold": self.iou_threshold}


def _pairs(compare, x):
    """Compares the items of each row: `y[b, i, j] = compare(x[b, i], x[b, j])`."""
    return compare(ops.expand_dims(x, 2), ops.expand_dims(x, 1))


def _before(scores):
    """Returns whether box `j` is ranked before box `i`, as `y[b, i, j]`."""
    index = ops.arange(0, ops.shape(scores)[1], 1, dtype="int32")
    earlier = ops.expand_dims(_pairs(ops.greater, ops.expand_dims(index, 0))[0], 0)
    equal = ops.logical_and(_pairs(ops.equal, scores), earlier)
    return ops.logical_or(_pairs(ops.less, scores), equal)
