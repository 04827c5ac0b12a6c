"""Cross-entropy with class weights that leaves void pixels out."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_segattn")
class WeightedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits, weighted by class, over the pixels that are not void.

    `loss = sum_i w[y_i] * -log softmax(x_i)[y_i] / sum_i w[y_i]` over all pixels `i` with
    `y_i != ignore_class`; `0` where every pixel is void.

    Keras's `SparseCategoricalCrossentropy` ignores a class too, but has no class weights, and
    `class_weight` of `fit` does not work on masks.

    Args:
        class_weights: Sequence of one weight per class, or `None` for equal weights. Defaults to
            `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        name: Name of the loss. Defaults to `"weighted_cross_entropy"`.
        **kwargs: `reduction` and `dtype`, as in every Keras loss.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`.
        y_pred: Logits of shape `(batch, height, width, classes)`. Computed in float32.

    Returns:
        Scalar; of shape `(batch, height, width)` with `reduction=None`.

    Raises:
        ValueError: If a class weight is negative or not finite, or their number differs from the
            number of classes.

    Example:

    >>> loss = WeightedCrossEntropy(class_weights=[1.0, 3.0])
    >>> labels = np.array([[[0, 1, 255]]])
    >>> logits = np.zeros((1, 1, 3, 2), "float32")
    >>> round(float(loss(labels, logits)), 3)
    0.693

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), section 4.1.

    **Differences from the paper**: it gives neither the weights nor their normalization; division
    by the sum of the weights is that of PyTorch's `CrossEntropyLoss(weight)`.
    """

    def __init__(
        self, class_weights=None, ignore_class=255, name="weighted_cross_entropy", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        if class_weights is not None:
            class_weights = [float(weight) for weight in class_weights]
            if not all(np.isfinite(weight) and weight >= 0 for weight in class_weights):
                raise ValueError(
                    f"`class_weights` must be finite and not negative. Received: {class_weights}"
                )
        self.class_weights = class_weights
        self.ignore_class = ignore_class

    def call(self, y_true, y_pred):
        classes = y_pred.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(
                f"{len(self.class_weights)} class weights do not fit logits of {classes} classes."
            )
        if len(y_true.shape) == len(y_pred.shape):
            y_true = ops.squeeze(y_true, axis=-1)
        y_true = ops.cast(y_true, "int32")
        y_pred = ops.cast(y_pred, "float32")
        valid = ops.not_equal(y_true, self.ignore_class)
        # Void takes class 0, whose pixels exist, and weighs nothing.
        labels = ops.where(valid, y_true, 0)
        weights = ops.cast(valid, "float32")
        if self.class_weights is not None:
            weights = weights * ops.take(ops.array(self.class_weights, "float32"), labels)
        loss = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        total = ops.sum(weights)
        # The mean over all pixels, which follows, becomes the mean over the weights.
        pixels = ops.cast(ops.size(weights), "float32")
        return loss * weights * pixels / ops.where(total > 0, total, 1.0)

    def get_config(self):
        return {
            **super().get_config(),
            "class_weights": self.class_weights,
            "ignore_class": self.ignore_class,
        }
