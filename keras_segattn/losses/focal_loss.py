"""Focal loss over the pixels that are not void."""

import keras
from keras import ops

from keras_segattn.arguments import check_at_least
from keras_segattn.losses.pixel_loss import PixelLoss


@keras.saving.register_keras_serializable(package="keras_segattn")
class FocalLoss(PixelLoss):
    """Focal loss over the pixels that are not void.

    ```
    p    = softmax(x_i)[y_i]
    l_i  = -(1 - p)^gamma * log(p)
    loss = sum_i w[y_i] * l_i / sum_i w[y_i]
    ```

    over all pixels `i` with `y_i != ignore_class`; `0` if every pixel is void. The focal term
    shifts the weight from pixels that are already right to pixels that are still wrong.

    Args:
        gamma: Float, at least 0, the exponent; `0` gives cross-entropy. Defaults to `2.0`.
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights. Defaults to `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        from_logits: Boolean, whether the network returns logits rather than probabilities. Defaults
            to `True`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `None`: the network's task
            or, without a network, binary for one channel and multiclass for several.
        name: Name of the loss. Defaults to `"focal_loss"`.
        **kwargs: `reduction` and `dtype`, as in every Keras loss.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`; for
            multilabel masks, zeros and ones of shape `(batch, height, width, classes)`.
        y_pred: Logits, or probabilities with `from_logits=False`, of shape
            `(batch, height, width, classes)`, with one channel for a binary network. Cast to
            float32.
        sample_weight: One weight per image or per pixel. Defaults to `None`.

    Returns:
        Scalar; with `reduction=None`, a tensor of the shape of the labels.

    Raises:
        ValueError: If `gamma` is negative, class weights or shapes do not fit, or a label in a
            NumPy array is neither a class nor void. In a tensor, such a label makes the loss NaN.

    Example:

    >>> labels = np.array([[[0, 1, 255]]])
    >>> logits = np.zeros((1, 1, 3, 2), "float32")
    >>> round(float(FocalLoss(gamma=2.0)(labels, logits)), 4)  # 0.5^2 * log 2
    0.1733

    Reference:
        "Cross-CBAM: A Lightweight network for Scene Segmentation" (Zhang et al., 2023), section
        3.4; "Focal Loss for Dense Object Detection" (Lin et al., 2017), equation 4.

    **Differences from the paper**: Cross-CBAM does not specify `gamma`. It defines the focal loss
    for two classes; here `p` is the softmax probability of the true class. The authors' code has
    one sigmoid per class.
    """

    def __init__(
        self,
        gamma=2.0,
        class_weights=None,
        ignore_class=255,
        from_logits=True,
        task=None,
        name="focal_loss",
        **kwargs,
    ):
        super().__init__(class_weights, ignore_class, from_logits, task, name=name, **kwargs)
        check_at_least("gamma", gamma, 0)
        self.gamma = gamma

    def pixel_losses(self, labels, logits):
        cross_entropy = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        # 1 - exp(-x) is 0 for a pixel predicted with certainty, and a power has no gradient at 0.
        wrong = ops.maximum(-ops.expm1(-cross_entropy), 1e-7)
        return cross_entropy * ops.power(wrong, self.gamma)

    def get_config(self):
        return {**super().get_config(), "gamma": self.gamma}
