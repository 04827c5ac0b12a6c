"""The base of the losses that are a weighted mean over pixels."""

from keras import ops

from keras_segattn.losses.replicas import count_replicas, sum_over_replicas
from keras_segattn.losses.segmentation_loss import LEAST_PROBABILITY, SegmentationLoss


class PixelLoss(SegmentationLoss):
    """Weighted mean of a loss over the pixels that are not void.

    `loss = sum_i w_i * l_i / sum_i w_i` over all pixels `i` with `y_i != ignore_class`, where `w_i`
    is the weight of the pixel's class; `0` where every pixel is void. Where a batch is divided
    among devices, the sums run over the whole batch: the mean of the devices' means would be
    another number as soon as one of them has more void than the other.

    The loss of a binary network is that of two classes with the logits `(0, x)`, whose softmax is
    `sigmoid(x)`. With several labels per pixel the mean is over pixels and classes, each a binary
    loss, weighted by its class.

    A subclass defines `pixel_losses`, and may narrow down the pixels by `pixel_weights`.

    Args:
        **kwargs: The arguments of `SegmentationLoss`.
    """

    def pixel_losses(self, labels, logits):
        """Returns the loss of every pixel; all labels are classes, void has become 0."""
        raise NotImplementedError

    def pixel_weights(self, losses, weights):
        """Returns the weight of every pixel; `weights` holds its class's weight, 0 for void."""
        del losses
        return weights

    def call(self, y_true, y_pred):
        task, labels, valid, faulty = self.split(y_true, y_pred)
        # Void weighs nothing, but 0 * NaN is NaN.
        where = valid if task == "multilabel" else ops.expand_dims(valid, axis=-1)
        y_pred = ops.where(where, ops.cast(y_pred, "float32"), 0.0)
        if task != "multiclass":
            y_pred = self._two_classes(y_pred if task == "multilabel" else y_pred[..., 0])
        if not self.from_logits:
            y_pred = ops.log(ops.maximum(y_pred, LEAST_PROBABILITY))
        weights = ops.cast(valid, "float32")
        if self.class_weights is not None:
            class_weights = ops.array(self.class_weights, "float32")
            if task != "multilabel":
                class_weights = ops.take(class_weights, labels)
            weights = weights * class_weights
        losses = self.pixel_losses(labels, y_pred)
        weights = self.pixel_weights(losses, weights)
        total = sum_over_replicas(ops.sum(weights))
        # The mean over all pixels, and then over replicas, which follows, becomes the mean over
        # the weights of all replicas.
        pixels = ops.cast(ops.size(weights) * count_replicas(), "float32")
        losses = losses * weights * pixels / ops.where(total > 0, total, 1.0)
        return ops.where(faulty, float("nan"), losses)

    def _two_classes(self, foreground):
        background = ops.zeros_like(foreground) if self.from_logits else 1.0 - foreground
        return ops.stack([background, foreground], axis=-1)
