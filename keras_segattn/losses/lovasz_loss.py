"""Loss based on a surrogate of the intersection over union."""

import keras
from keras import ops

from keras_segattn.losses.region_loss import RegionLoss
from keras_segattn.losses.replicas import gather_from_replicas


@keras.saving.register_keras_serializable(package="keras_segattn")
class LovaszLoss(RegionLoss):
    """Lovász-softmax loss, or Lovász hinge for sigmoids: a convex surrogate of the Jaccard loss.

    ```
    m_i  = |t_i - p_i|                          # multiclass: probabilities p, labels t, 0 or 1
    m_i  = max(0, 1 - x_i * (2 * t_i - 1))      # binary and multilabel: logits x
    l_c  = sum_i m_i * g_i                      # the errors m of class c, the largest first
    g_i  = J(first i pixels wrong) - J(first i - 1 pixels wrong)
    loss = weighted mean over the classes of l_c
    ```

    where `J` is the Jaccard loss of the class if the first `i` pixels were wrong and the others
    right. Void pixels are ignored. The softmax form ignores a class without true pixels; in the
    hinge form, the loss of such a class is its largest error. All pixels are sorted for every
    class, which takes time and memory. The loss mostly serves to fine-tune a network trained with
    cross-entropy.

    Args:
        per_image: Boolean, whether to compute the loss per image and average over the images,
            instead of over the whole batch at once. Defaults to `False`.
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights; not allowed for a binary network. Defaults to `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        from_logits: Boolean, whether the network returns logits rather than probabilities. Defaults
            to `True`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `None`: the network's task
            or, without a network, binary for one channel and multiclass for several.
        name: Name of the loss. Defaults to `"lovasz_loss"`.
        **kwargs: `reduction` and `dtype`, as in every Keras loss.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`; for
            multilabel masks, zeros and ones of shape `(batch, height, width, classes)`.
        y_pred: Logits, or probabilities with `from_logits=False`, of shape
            `(batch, height, width, classes)`, with one channel for a binary network. Cast to
            float32.
        sample_weight: One weight per image, with `per_image=True`. Defaults to `None`.

    Returns:
        Scalar; with `reduction=None`, a tensor of shape `(batch,)`, with the same number for each
        image unless `per_image=True`.

    Raises:
        ValueError: If class weights or shapes do not fit, pixels are given weights, or a label in a
            NumPy array is neither a class nor void. In a tensor, such a label makes the loss NaN.

    Example:

    >>> labels = np.array([[[1, 0, 255]]])
    >>> logits = np.array([[[[2.0], [0.5], [9.0]]]], "float32")
    >>> round(float(LovaszLoss()(labels, logits)), 4)  # 1.5 * (1 - 1 / 2)
    0.75

    Reference:
        "The Lovász-Softmax loss: A tractable surrogate for the optimization of the
        intersection-over-union measure in neural networks" (Berman et al., 2018), algorithm 1.
    """

    def __init__(
        self,
        per_image=False,
        class_weights=None,
        ignore_class=255,
        from_logits=True,
        task=None,
        name="lovasz_loss",
        **kwargs,
    ):
        super().__init__(
            per_image=per_image,
            class_weights=class_weights,
            ignore_class=ignore_class,
            from_logits=from_logits,
            task=task,
            name=name,
            **kwargs,
        )

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None and not (self.per_image and len(sample_weight.shape) == 1):
            raise ValueError(
                "LovaszLoss sorts pixels by error, so it accepts no pixel weights, and image "
                "weights only with per_image=True. Received: a sample_weight "
                f"of shape {tuple(sample_weight.shape)}, per_image={self.per_image}"
            )
        return super().__call__(y_true, y_pred, sample_weight)

    def class_losses(self, truth, logits, weights):
        valid = ops.broadcast_to(weights, ops.shape(truth))
        if self.task_for(logits.shape[-1]) == "multiclass":
            errors = ops.abs(truth - self.probabilities(logits)) * valid
        else:
            errors = ops.relu(1.0 - self.logits(logits) * (2 * truth - 1)) * valid
        errors, truth, valid = (self._flattened(x) for x in (errors, truth, valid))
        # Void pixels have error 0 and come after all other pixels with error 0.
        order = ops.argsort(ops.where(valid > 0, -ops.stop_gradient(errors), 1.0), axis=1)
        errors, truth = (ops.take_along_axis(x, order, axis=1) for x in (errors, truth))
        pixels = ops.sum(truth, axis=1, keepdims=True)
        missed = pixels - ops.cumsum(truth, axis=1)
        jaccard = 1.0 - missed / (pixels + ops.cumsum(1.0 - truth, axis=1))
        steps = jaccard - ops.pad(jaccard, [(0, 0), (1, 0), (0, 0)])[:, :-1]
        counts = valid if self.task_for(logits.shape[-1]) != "multiclass" else truth
        return ops.sum(errors * ops.stop_gradient(steps), axis=1), ops.sum(counts, axis=1) > 0

    def _flattened(self, x):
        """Flattens the pixels of each image, or of the batch on all replicas, to one axis."""
        channels = x.shape[-1]
        if self.per_image:
            return ops.reshape(x, (ops.shape(x)[0], -1, channels))
        return gather_from_replicas(ops.reshape(x, (-1, channels)))[None]
