"""Loss based on the agreement of contours."""

import keras
from keras import ops

from keras_segattn.arguments import check_at_least
from keras_segattn.losses.region_loss import EPSILON, RegionLoss


@keras.saving.register_keras_serializable(package="keras_segattn")
class BoundaryLoss(RegionLoss):
    """Boundary loss: one minus the F1 score of the contours of each class, in each image.

    ```
    b(q)      = maxpool(1 - q, 3) - (1 - q)               # the contour of labels t or of p
    b+(q)     = maxpool(b(q), 2 * distance + 1)           # and all within a distance of it
    precision = sum b(p) * b+(t) / sum b(p)
    recall    = sum b+(p) * b(t) / sum b(t)
    f1        = 2 * precision * recall / (precision + recall)
    loss      = weighted mean over the classes of 1 - f1
    ```

    with the probabilities `p` and the labels `t`, 0 or 1. In each image, classes without a contour
    are ignored. Borders with void pixels and image borders are not contours. The loss does not see
    regions far from any contour, so add another loss: `DiceLoss() + 0.5 * BoundaryLoss()`.

    Args:
        distance: Integer, the number of pixels within which two contours agree. Defaults to `2`.
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights; not allowed for a binary network. Defaults to `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        from_logits: Boolean, whether the network returns logits rather than probabilities. Defaults
            to `True`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `None`: the network's task
            or, without a network, binary for one channel and multiclass for several.
        name: Name of the loss. Defaults to `"boundary_loss"`.
        **kwargs: `reduction` and `dtype`, as in every Keras loss.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`; for
            multilabel masks, zeros and ones of shape `(batch, height, width, classes)`.
        y_pred: Logits, or probabilities with `from_logits=False`, of shape
            `(batch, height, width, classes)`, with one channel for a binary network. Cast to
            float32.
        sample_weight: One weight per image, which multiplies the loss of the image, or one per
            pixel, which scales how much the pixel counts. Defaults to `None`.

    Returns:
        Scalar; with `reduction=None`, a tensor of shape `(batch,)`.

    Raises:
        ValueError: If `distance` is below 1, class weights or shapes do not fit, or a label in a
            NumPy array is neither a class nor void. In a tensor, such a label makes the loss NaN.

    Example:

    >>> labels = np.repeat([[[0, 0, 1, 1, 1, 1]]], 3, axis=1)
    >>> logits = np.where(labels == 1, 9.0, -9.0)[..., None].astype("float32")
    >>> round(float(BoundaryLoss(distance=1)(labels, logits)), 3)
    0.0

    Reference:
        "Boundary Loss for Remote Sensing Imagery Semantic Segmentation" (Bokhovkin and Burnaev,
        2019), equations 3 to 6.
    """

    def __init__(
        self,
        distance=2,
        class_weights=None,
        ignore_class=255,
        from_logits=True,
        task=None,
        name="boundary_loss",
        **kwargs,
    ):
        super().__init__(
            per_image=True,
            class_weights=class_weights,
            ignore_class=ignore_class,
            from_logits=from_logits,
            task=task,
            name=name,
            **kwargs,
        )
        check_at_least("distance", distance, 1)
        self.distance = distance

    def class_losses(self, truth, logits, weights):
        p = self.probabilities(logits)
        valid = ops.cast(weights > 0, "float32")
        lines = [_contour(region, valid) for region in (truth, p)]
        wide = [_max_pool(line, 2 * self.distance + 1) for line in lines]
        (true, predicted), (wide_true, wide_predicted) = lines, wide

        def total(x):
            return ops.sum(x * weights, axis=(1, 2))

        length = total(true)
        precision = total(predicted * wide_true) / (total(predicted) + EPSILON)
        recall = total(wide_predicted * true) / (length + EPSILON)
        f1 = 2 * precision * recall / (precision + recall + EPSILON)
        return 1.0 - f1, length > 0

    def get_config(self):
        config = super().get_config()
        config.pop("per_image")
        return {**config, "distance": self.distance}


def _contour(region, valid):
    """Returns the pixels of a region next to other pixels, not counting void pixels."""
    outside = (1.0 - region) * valid
    return (_max_pool(outside, 3) - outside) * valid


def _max_pool(x, side):
    # Two steps are faster for a large side. All values are at least 0.
    half = side // 2
    x = ops.pad(x, [(0, 0), (half, half), (half, half), (0, 0)])
    for window in ((side, 1), (1, side)):
        x = ops.max_pool(x, window, strides=1, padding="valid", data_format="channels_last")
    return x
