"""Focal loss that leaves void pixels out, alone or mixed with cross-entropy."""

import keras
from keras import ops

from keras_segattn.losses.pixel_loss import PixelLoss


@keras.saving.register_keras_serializable(package="keras_segattn")
class FocalLoss(PixelLoss):
    """Focal loss of logits over the pixels that are not void, mixed with cross-entropy.

    ```
    p    = softmax(x_i)[y_i]
    l_i  = a * -log(p) + (1 - a) * -(1 - p)^gamma * log(p)        a = cross_entropy_share
    loss = sum_i w[y_i] * l_i / sum_i w[y_i]
    ```

    over all pixels `i` with `y_i != ignore_class`; `0` where every pixel is void. The focal term
    turns attention from the pixels that are right already to those that are not.

    Args:
        gamma: Exponent, from 0, where it is cross-entropy, upwards. Defaults to `2.0`.
        cross_entropy_share: The `alpha` of Cross-CBAM, from 0 (focal loss alone) to 1
            (cross-entropy alone). Defaults to `0.0`.
        class_weights: Sequence of one weight per class, or `None` for equal weights. Defaults to
            `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        name: Name of the loss. Defaults to `"focal_loss"`.
        **kwargs: `reduction` and `dtype`, as in every Keras loss.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`.
        y_pred: Logits of shape `(batch, height, width, classes)`. Computed in float32.

    Returns:
        Scalar; of shape `(batch, height, width)` with `reduction=None`.

    Raises:
        ValueError: If `gamma` is negative, the share is not from 0 to 1, or the class weights do
            not fit.

    Example:

    >>> labels = np.array([[[0, 1, 255]]])
    >>> logits = np.zeros((1, 1, 3, 2), "float32")
    >>> round(float(FocalLoss(gamma=2.0)(labels, logits)), 4)  # 0.5^2 * log 2
    0.1733

    Reference:
        "Cross-CBAM: A Lightweight network for Scene Segmentation" (Zhang et al., 2023), section
        3.4; "Focal Loss for Dense Object Detection" (Lin et al., 2017), equation 4.

    **Differences from the paper**: it gives neither `alpha` nor `gamma`. Its focal loss is written
    for two classes; here `p` is the softmax probability of the true class. The authors' code has
    one sigmoid per class, and the focal loss on the auxiliary head alone.
    """

    def __init__(
        self,
        gamma=2.0,
        cross_entropy_share=0.0,
        class_weights=None,
        ignore_class=255,
        name="focal_loss",
        **kwargs,
    ):
        super().__init__(class_weights, ignore_class, name=name, **kwargs)
        if gamma < 0:
            raise ValueError(f"`gamma` must not be negative. Received: {gamma}")
        if not 0 <= cross_entropy_share <= 1:
            raise ValueError(
                f"`cross_entropy_share` must be from 0 to 1. Received: {cross_entropy_share}"
            )
        self.gamma = gamma
        self.cross_entropy_share = cross_entropy_share

    def pixel_losses(self, labels, logits):
        cross_entropy = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        # 1 - exp(-x) is 0 for a pixel that is certainly right, where a power has no gradient.
        wrong = ops.maximum(-ops.expm1(-cross_entropy), 1e-7)
        share = self.cross_entropy_share
        return cross_entropy * (share + (1 - share) * ops.power(wrong, self.gamma))

    def get_config(self):
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "cross_entropy_share": self.cross_entropy_share,
        }
