"""Base class of the losses that are a weighted mean over pixels."""

from keras import ops

from keras_segattn.losses.replicas import count_replicas, sum_over_replicas
from keras_segattn.losses.segmentation_loss import LEAST_PROBABILITY, SegmentationLoss


class PixelLoss(SegmentationLoss):
    """Weighted mean of a loss over the pixels that are not void.

    `loss = sum_i w_i * l_i / sum_i w_i` over all pixels `i` with `y_i != ignore_class`, where `w_i`
    is the weight of the pixel's class; `0` if every pixel is void. If a batch is split across
    devices, the sums still run over the whole batch: the mean of the devices' means would differ as
    soon as one device has more void pixels than another.

    A binary network has the loss of two classes with the logits `(0, x)`; their softmax is
    `sigmoid(x)`. For multilabel masks, the mean runs over pixels and classes; each term is a binary
    loss with the weight of its class.

    A subclass defines `pixel_losses` and may override `pixel_weights` to select pixels.

    Args:
        **kwargs: The arguments of `SegmentationLoss`.
    """

    def pixel_losses(self, labels, logits):
        """Returns the loss of every pixel; all labels are classes, with void replaced by 0."""
        raise NotImplementedError

    def pixel_weights(self, losses, weights):
        """Returns the weight of every pixel; `weights` contains class weights, and 0 for void."""
        del losses
        return weights

    def call(self, y_true, y_pred):
        task, labels, valid, faulty = self.split(y_true, y_pred)
        # Void pixels have weight 0, but 0 * NaN is NaN.
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
        # The mean over all pixels and then over replicas, taken later, becomes the weighted mean
        # over all replicas.
        pixels = ops.cast(ops.size(weights) * count_replicas(), "float32")
        losses = losses * weights * pixels / ops.where(total > 0, total, 1.0)
        return ops.where(faulty, float("nan"), losses)

    def _two_classes(self, foreground):
        background = ops.zeros_like(foreground) if self.from_logits else 1.0 - foreground
        return ops.stack([background, foreground], axis=-1)
