"""Cross-entropy of sigmoids with a weight for positive pixels."""

from numbers import Real

import keras
import numpy as np
from keras import ops

from keras_segattn.losses.pixel_loss import PixelLoss


@keras.saving.register_keras_serializable(package="keras_segattn")
class BinaryCrossEntropy(PixelLoss):
    """Cross-entropy of sigmoids over the non-void pixels of binary or multilabel masks.

    `l_i = -positive_weight * y_i * log(p_i) - (1 - y_i) * log(1 - p_i)` with `p_i = sigmoid(x_i)`,
    and `loss = sum_i w_i * l_i / sum_i w_i` over all pixels that are not void, and over all classes
    of a multilabel mask.

    Keras's `BinaryCrossentropy` cannot ignore void pixels and has no weight for positive pixels.

    Args:
        positive_weight: Positive number, the factor for the loss of foreground pixels; for
            multilabel masks, also a sequence of one per class. Values above 1 increase recall,
            values below 1 precision. Defaults to `1.0`.
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights. A binary loss has two weights, for background and foreground,
            and divides by the sum of the weights. Defaults to `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        from_logits: Boolean, whether the network returns logits rather than probabilities. Defaults
            to `True`.
        task: `"binary"` or `"multilabel"`. Defaults to `None`: the network's task or, without a
            network, binary for one channel and multilabel for several.
        name: Name of the loss. Defaults to `"binary_cross_entropy"`.
        **kwargs: `reduction` and `dtype`, as in every Keras loss.

    Call arguments:
        y_true: Labels 0, 1 or void, of shape `(batch, height, width)` or
            `(batch, height, width, 1)`; for multilabel masks, of shape
            `(batch, height, width, classes)`.
        y_pred: Logits, or probabilities with `from_logits=False`, of shape
            `(batch, height, width, classes)`, with one channel for a binary network. Cast to
            float32.
        sample_weight: One weight per image or per pixel. Defaults to `None`.

    Returns:
        Scalar; with `reduction=None`, a tensor of the shape of the labels.

    Raises:
        ValueError: If a weight is not positive, weights or shapes do not fit, the network is
            multiclass, or a label in a NumPy array is neither 0, 1 nor void. In a tensor, such a
            label makes the loss NaN.

    Example:

    >>> loss = BinaryCrossEntropy(positive_weight=3.0)
    >>> labels = np.array([[[0, 1, 255]]])
    >>> logits = np.zeros((1, 1, 3, 1), "float32")
    >>> round(float(loss(labels, logits)), 4)  # (1 + 3) / 2 * log 2
    1.3863

    Reference:
        `positive_weight` equals `pos_weight` in PyTorch's `BCEWithLogitsLoss`.
    """

    TASKS = ("binary", "multilabel")

    def __init__(
        self,
        positive_weight=1.0,
        class_weights=None,
        ignore_class=255,
        from_logits=True,
        task=None,
        name="binary_cross_entropy",
        **kwargs,
    ):
        super().__init__(class_weights, ignore_class, from_logits, task, name=name, **kwargs)
        single = isinstance(positive_weight, Real)
        weights = [positive_weight] if single else list(positive_weight)
        if not weights or not all(np.isfinite(weight) and weight > 0 for weight in weights):
            raise ValueError(
                "`positive_weight` must be a positive number, or a sequence of one per class. "
                f"Received: {positive_weight}"
            )
        self.positive_weight = float(weights[0]) if single else list(map(float, weights))

    def task_for(self, channels):
        if isinstance(self.positive_weight, list) and len(self.positive_weight) != channels:
            raise ValueError(
                f"{len(self.positive_weight)} positive weights do not fit logits of {channels} "
                f"{'class' if channels == 1 else 'classes'}."
            )
        return super().task_for(channels)

    def pixel_losses(self, labels, logits):
        cross_entropy = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        positive_weight = ops.array(self.positive_weight, "float32")
        return cross_entropy * ops.where(labels == 1, positive_weight, 1.0)

    def get_config(self):
        return {**super().get_config(), "positive_weight": self.positive_weight}
