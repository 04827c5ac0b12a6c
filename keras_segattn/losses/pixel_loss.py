"""What the losses of this package share: class weights, and void pixels that count for nothing."""

import keras
import numpy as np
from keras import ops

from keras_segattn.replicas import count_replicas, sum_over_replicas


class PixelLoss(keras.losses.Loss):
    """Weighted mean of a loss over the pixels that are not void.

    `loss = sum_i w_i * l_i / sum_i w_i` over all pixels `i` with `y_i != ignore_class`, where `w_i`
    is the weight of the pixel's class; `0` where every pixel is void. Where a batch is divided
    among devices, the sums are those of the whole batch: the mean of the devices' means would be
    another number as soon as one of them has more void than the other.

    A subclass defines `pixel_losses`, and may narrow down the pixels by `pixel_weights`.

    Args:
        class_weights: Sequence of one weight per class, or `None` for equal weights. Defaults to
            `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        **kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.
    """

    def __init__(self, class_weights=None, ignore_class=255, **kwargs):
        super().__init__(**kwargs)
        if class_weights is not None:
            class_weights = [float(weight) for weight in class_weights]
            if not all(np.isfinite(weight) and weight >= 0 for weight in class_weights):
                raise ValueError(
                    f"`class_weights` must be finite and not negative. Received: {class_weights}"
                )
        self.class_weights = class_weights
        self.ignore_class = ignore_class

    def pixel_losses(self, labels, logits):
        """Returns the loss of every pixel; labels are those of classes, void has become 0."""
        raise NotImplementedError

    def pixel_weights(self, losses, weights):
        """Returns the weight of every pixel; `weights` are those of its class, 0 for void."""
        del losses
        return weights

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
        losses = self.pixel_losses(labels, y_pred)
        weights = self.pixel_weights(losses, weights)
        total = sum_over_replicas(ops.sum(weights))
        # The mean over all pixels, and then over replicas, which follows, becomes the mean over
        # the weights of all replicas.
        pixels = ops.cast(ops.size(weights) * count_replicas(), "float32")
        return losses * weights * pixels / ops.where(total > 0, total, 1.0)

    def get_config(self):
        return {
            **super().get_config(),
            "class_weights": self.class_weights,
            "ignore_class": self.ignore_class,
        }
