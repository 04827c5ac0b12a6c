"""Loss based on the Tversky index."""

import keras

from keras_segattn.arguments import check_at_least
from keras_segattn.losses.overlap_loss import OverlapLoss
from keras_segattn.losses.region_loss import EPSILON


@keras.saving.register_keras_serializable(package="keras_segattn")
class TverskyLoss(OverlapLoss):
    """Tversky loss: a Dice loss with weights for false positives and false negatives.

    ```
    tversky = (hits + smooth)
              / (hits + alpha * false_positives + beta * false_negatives + smooth)
    loss    = weighted mean over the classes of 1 - tversky
    ```

    over the pixels that are not void, with `hits = sum p * t`, `false_positives = sum p * (1 - t)`
    and `false_negatives = sum (1 - p) * t`. With `alpha = beta = 0.5` it is the Dice loss, with
    `alpha = beta = 1` the Jaccard loss. A larger `beta` increases recall.

    Args:
        alpha: Float, at least 0, the weight of false positives. Defaults to `0.3`.
        beta: Float, at least 0, the weight of false negatives. Defaults to `0.7`.
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
        name: Name of the loss. Defaults to `"tversky_loss"`.
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
        ValueError: If `smooth`, `alpha` or `beta` is negative, class weights or shapes do not fit,
            or a label in a NumPy array is neither a class nor void. In a tensor, such a label makes
            the loss NaN.

    Example:

    >>> labels = np.array([[[1, 0, 255]]])
    >>> logits = np.zeros((1, 1, 3, 1), "float32")
    >>> round(float(TverskyLoss(smooth=0.0)(labels, logits)), 4)  # 1 - 0.5 / (0.5 + 0.15 + 0.35)
    0.5

    Reference:
        "Tversky loss function for image segmentation using 3D fully convolutional deep networks"
        (Salehi et al., 2017), equations 2 and 3.
    """

    def __init__(
        self,
        alpha=0.3,
        beta=0.7,
        smooth=1.0,
        per_image=False,
        class_weights=None,
        ignore_class=255,
        from_logits=True,
        task=None,
        name="tversky_loss",
        **kwargs,
    ):
        super().__init__(
            smooth=smooth,
            per_image=per_image,
            class_weights=class_weights,
            ignore_class=ignore_class,
            from_logits=from_logits,
            task=task,
            name=name,
            **kwargs,
        )
        check_at_least("alpha", alpha, 0)
        check_at_least("beta", beta, 0)
        self.alpha, self.beta = alpha, beta

    def score(self, hits, false_positives, false_negatives):
        wrong = self.alpha * false_positives + self.beta * false_negatives
        return (hits + self.smooth) / (hits + wrong + self.smooth + EPSILON)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta}
