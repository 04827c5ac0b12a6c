"""Base class of the losses that compare regions rather than pixels."""

from keras import ops

from keras_segattn.losses.replicas import count_replicas, sum_over_replicas
from keras_segattn.losses.segmentation_loss import LEAST_PROBABILITY, SegmentationLoss

# Smaller than any relevant sum of probabilities.
EPSILON = 1e-7


class RegionLoss(SegmentationLoss):
    """Weighted mean over the classes of a loss between true and predicted regions.

    `loss = sum_c w_c * l_c / sum_c w_c` over the classes `c` that `class_losses` counts, per image
    or for the whole batch; `0` if there are none. Void pixels belong to no region. If a batch is
    split across devices, a region extends over all of them.

    The region of a binary network is its foreground. A subclass defines `class_losses`.

    Args:
        per_image: Boolean, whether to compute the loss per image and average over the images with a
            region, instead of over the whole batch at once. Then a `sample_weight` per image
            multiplies the loss of the image; otherwise, it scales how much the pixels count in
            their region. Defaults to `False`.
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights. A binary loss has one region and accepts no weights. Defaults
            to `None`.
        **kwargs: The other arguments of `SegmentationLoss`.
    """

    def __init__(self, per_image=False, class_weights=None, **kwargs):
        super().__init__(class_weights, **kwargs)
        self.per_image = per_image

    def class_losses(self, truth, logits, weights):
        """Returns the loss of each class and whether the class counts.

        Args:
            truth: float32 tensor of 0 and 1, `(batch, height, width, channels)`.
            logits: float32 tensor of the same shape, 0 at void pixels; probabilities with
                `from_logits=False`.
            weights: float32 tensor `(batch, height, width, channels or 1)`, 0 at void pixels.

        Returns:
            Two tensors `(batch, channels)` with `per_image`, else `(1, channels)`.
        """
        raise NotImplementedError

    def probabilities(self, outputs):
        """Converts the network's outputs to probabilities."""
        if not self.from_logits:
            return outputs
        softmax = self.task_for(outputs.shape[-1]) == "multiclass"
        return ops.softmax(outputs, axis=-1) if softmax else ops.sigmoid(outputs)

    def logits(self, outputs):
        """Converts the network's outputs to logits."""
        if self.from_logits:
            return outputs
        log, rest = (
            ops.log(ops.maximum(part, LEAST_PROBABILITY)) for part in (outputs, 1.0 - outputs)
        )
        return log if self.task_for(outputs.shape[-1]) == "multiclass" else log - rest

    def task_for(self, channels):
        task = super().task_for(channels)
        if task == "binary" and self.class_weights is not None:
            raise ValueError(
                f"{type(self).__name__} of a binary network has only one region, the foreground, "
                f"and accepts no `class_weights`. Received: {self.class_weights}. Add a "
                "BinaryCrossEntropy with weights, or use a TverskyLoss."
            )
        return task

    def __call__(self, y_true, y_pred, sample_weight=None):
        self.check_outputs(y_pred)
        self.check_numpy_labels(y_true, y_pred.shape[-1])
        weights = self.expand_weights(sample_weight, y_pred)
        if weights is None or (self.per_image and len(sample_weight.shape) == 1):
            # An image's weight would cancel out within its own regions.
            return super(SegmentationLoss, self).__call__(y_true, y_pred, sample_weight)
        return super(SegmentationLoss, self).__call__((y_true, weights), y_pred)

    def call(self, y_true, y_pred):
        y_true, sample_weight = y_true if isinstance(y_true, tuple) else (y_true, None)
        task, labels, valid, faulty = self.split(y_true, y_pred)
        channels = y_pred.shape[-1]
        if task == "multiclass":
            truth = ops.one_hot(labels, channels, dtype="float32")
        else:
            truth = ops.cast(labels, "float32")
            truth = ops.expand_dims(truth, axis=-1) if task == "binary" else truth
        weights = ops.cast(valid, "float32")
        if sample_weight is not None:
            weights = weights * sample_weight
        if task != "multilabel":
            valid, weights = (ops.expand_dims(x, axis=-1) for x in (valid, weights))
        y_pred = ops.where(valid, ops.cast(y_pred, "float32"), 0.0)
        losses, counts = self.class_losses(truth * ops.cast(valid, "float32"), y_pred, weights)

        counts = ops.cast(counts, "float32")
        class_weights = counts
        if self.class_weights is not None:
            class_weights = counts * ops.array(self.class_weights, "float32")
        total = ops.sum(class_weights, axis=-1)
        losses = ops.sum(losses * class_weights, axis=-1) / ops.where(total > 0, total, 1.0)
        losses = self._by_image(losses, total > 0, ops.shape(y_pred)[0])
        return ops.where(ops.any(faulty), float("nan"), losses)

    def _by_image(self, losses, counts, images):
        """Returns losses `(batch,)` whose mean over all replicas is the loss."""
        if not self.per_image:
            return ops.broadcast_to(losses, (images,))
        counted = sum_over_replicas(ops.sum(ops.cast(counts, "float32")))
        images = ops.cast(images * count_replicas(), "float32")
        return losses * images / ops.maximum(counted, 1.0)

    def get_config(self):
        return {**super().get_config(), "per_image": self.per_image}
