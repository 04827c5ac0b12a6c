"""The base of the losses of this package: class weights, and void pixels that count for nothing."""

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from keras_segattn.ground_truth import (
    check_labels,
    expand_sample_weight,
    match_shapes,
    split_labels,
)
from keras_segattn.losses.replicas import count_replicas, sum_over_replicas

LEAST_PROBABILITY = 1e-7


class PixelLoss(keras.losses.Loss):
    """Weighted mean of a loss over the pixels that are not void.

    `loss = sum_i w_i * l_i / sum_i w_i` over all pixels `i` with `y_i != ignore_class`, where `w_i`
    is the weight of the pixel's class; `0` where every pixel is void. Where a batch is divided
    among devices, the sums run over the whole batch: the mean of the devices' means would be
    another number as soon as one of them has more void than the other.

    Void pixels are taken out before the arithmetic: NaN or infinite logits there change neither the
    loss nor its gradient. A label that is neither a class nor void is refused with a `ValueError`
    in a NumPy array, and makes the loss NaN in a tensor.

    A subclass defines `pixel_losses`, and may narrow down the pixels by `pixel_weights`.

    Args:
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights. Defaults to `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        from_logits: Boolean, whether the network returns logits rather than probabilities, such as
            a softmax gives. Defaults to `True`.
        **kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.
    """

    def __init__(self, class_weights=None, ignore_class=255, from_logits=True, **kwargs):
        # Half precision would round labels above 256 or 2048.
        kwargs["dtype"] = kwargs.get("dtype") or "float32"
        super().__init__(**kwargs)
        self.class_weights = _as_list(class_weights)
        self.ignore_class = ignore_class
        self.from_logits = from_logits

    def __call__(self, y_true, y_pred, sample_weight=None):
        if isinstance(y_true, (list, np.ndarray)):
            check_labels(y_true, y_pred.shape[-1], self.ignore_class)
        return super().__call__(
            y_true, y_pred, expand_sample_weight(sample_weight, len(y_pred.shape) - 1)
        )

    def pixel_losses(self, labels, logits):
        """Returns the loss of every pixel; all labels are classes, void has become 0."""
        raise NotImplementedError

    def pixel_weights(self, losses, weights):
        """Returns the weight of every pixel; `weights` holds its class's weight, 0 for void."""
        del losses
        return weights

    def call(self, y_true, y_pred):
        classes = y_pred.shape[-1]
        if classes == 1:
            raise ValueError(
                "The softmax of one class is always 1, and nothing is learned. Use two classes: "
                "the foreground, and the rest."
            )
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(
                f"{len(self.class_weights)} class weights do not fit logits of {classes} classes."
            )
        y_true = match_shapes(y_true, y_pred)
        labels, valid, faulty = split_labels(y_true, classes, self.ignore_class)
        # Void weighs nothing, but 0 * NaN is NaN.
        y_pred = ops.where(ops.expand_dims(valid, -1), ops.cast(y_pred, "float32"), 0.0)
        if not self.from_logits:
            y_pred = ops.log(ops.maximum(y_pred, LEAST_PROBABILITY))
        weights = ops.cast(valid, "float32")
        if self.class_weights is not None:
            weights = weights * ops.take(ops.array(self.class_weights, "float32"), labels)
        losses = self.pixel_losses(labels, y_pred)
        weights = self.pixel_weights(losses, weights)
        total = sum_over_replicas(ops.sum(weights))
        # The mean over all pixels, and then over replicas, which follows, becomes the mean over
        # the weights of all replicas.
        pixels = ops.cast(ops.size(weights) * count_replicas(), "float32")
        losses = losses * weights * pixels / ops.where(total > 0, total, 1.0)
        return ops.where(faulty, float("nan"), losses)

    def get_config(self):
        return {
            **super().get_config(),
            "class_weights": self.class_weights,
            "ignore_class": self.ignore_class,
            "from_logits": self.from_logits,
        }


def _as_list(class_weights):
    if class_weights is None:
        return None
    if isinstance(class_weights, Mapping):
        if sorted(class_weights) != list(range(len(class_weights))):
            raise ValueError(
                "A dict of `class_weights` must have every class from 0 on as a key. Received: "
                f"{class_weights}"
            )
        class_weights = [class_weights[key] for key in range(len(class_weights))]
    class_weights = [float(weight) for weight in class_weights]
    if not all(np.isfinite(weight) and weight >= 0 for weight in class_weights):
        raise ValueError(
            f"`class_weights` must be finite and not negative. Received: {class_weights}"
        )
    return class_weights
