"""A power of the Tversky loss."""

import keras
from keras import ops

from keras_segattn.losses.region_loss import EPSILON
from keras_segattn.losses.tversky_loss import TverskyLoss


@keras.saving.register_keras_serializable(package="keras_segattn")
class FocalTverskyLoss(TverskyLoss):
    """Focal Tversky loss: a power of the Tversky loss, for regions that are hard to find.

    ```
    tversky = (hits + smooth)
              / (hits + alpha * false_positives + beta * false_negatives + smooth)
    loss    = weighted mean over the classes of (1 - tversky)^(1 / gamma)
    ```

    over the pixels that are not void, with `hits = sum p * t`, `false_positives = sum p * (1 - t)`
    and `false_negatives = sum (1 - p) * t`. With `gamma` above 1 the gradient of a class is larger
    while its score is high, so training completes small regions.

    Args:
        alpha: Float, at least 0, the weight of false positives. Defaults to `0.3`.
        beta: Float, at least 0, the weight of false negatives. Defaults to `0.7`.
        gamma: Float, the divisor of the exponent, above 0. Defaults to `4 / 3`.
        smooth: Float, at least 0, added to numerator and denominator. With `smooth` above 0, a
            class without true pixels counts through its false positives; with 0, it is ignored.
            Defaults to `1.0`.
        per_image: Boolean, whether to compute the loss per image and average over the images,
            instead of over the whole batch at once. Defaults to `False`.
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights; not allowed for a binary network. Defaults to `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        from_logits: Boolean, whether the network returns logits rather than probabilities. Defaults
            to `True`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `None`: the network's task
            or, without a network, binary for one channel and multiclass for several.
        name: Name of the loss. Defaults to `"focal_tversky_loss"`.
        **kwargs: `reduction` and `dtype`, as in every Keras loss.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`; for
            multilabel masks, zeros and ones of shape `(batch, height, width, classes)`.
        y_pred: Logits, or probabilities with `from_logits=False`, of shape
            `(batch, height, width, classes)`, with one channel for a binary network. Cast to
            float32.
        sample_weight: One weight per image or per pixel; it scales how much pixels count in their
            region. With `per_image=True`, a weight per image multiplies the loss of the image
            instead. Defaults to `None`.

    Returns:
        Scalar; with `reduction=None`, a tensor of shape `(batch,)`, with the same number for each
        image unless `per_image=True`.

    Raises:
        ValueError: If `smooth`, `alpha` or `beta` is negative, `gamma` not positive, class weights
            or shapes do not fit, or a label in a NumPy array is neither a class nor void. In a
            tensor, such a label makes the loss NaN.

    Example:

    >>> labels = np.array([[[1, 0, 255]]])
    >>> logits = np.zeros((1, 1, 3, 1), "float32")
    >>> round(float(FocalTverskyLoss(smooth=0.0)(labels, logits)), 4)  # 0.5^0.75
    0.5946

    Reference:
        "A Novel Focal Tversky Loss Function with Improved Attention U-Net for Lesion Segmentation"
        (Abraham and Khan, 2018), equation 4, with alpha and beta swapped.
    """

    def __init__(
        self,
        alpha=0.3,
        beta=0.7,
        gamma=4 / 3,
        smooth=1.0,
        per_image=False,
        class_weights=None,
        ignore_class=255,
        from_logits=True,
        task=None,
        name="focal_tversky_loss",
        **kwargs,
    ):
        super().__init__(
            alpha=alpha,
            beta=beta,
            smooth=smooth,
            per_image=per_image,
            class_weights=class_weights,
            ignore_class=ignore_class,
            from_logits=from_logits,
            task=task,
            name=name,
            **kwargs,
        )
        if not gamma > 0:
            raise ValueError(f"`gamma` must be positive. Received: {gamma}")
        self.gamma = gamma

    def class_losses(self, truth, logits, weights):
        losses, counts = super().class_losses(truth, logits, weights)
        # A power below 1 has no gradient at 0.
        return ops.power(ops.maximum(losses, EPSILON), 1 / self.gamma), counts

    def get_config(self):
        return {**super().get_config(), "gamma": self.gamma}
