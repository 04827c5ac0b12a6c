"""Cross-entropy of the currently hard pixels."""

import math

import keras
from keras import ops

from keras_segattn.losses.pixel_loss import PixelLoss
from keras_segattn.losses.replicas import count_replicas, gather_from_replicas


@keras.saving.register_keras_serializable(package="keras_segattn")
class OHEMCrossEntropy(PixelLoss):
    """Cross-entropy over the hard pixels of a batch: online hard example mining.

    ```
    l_i  = -log softmax(x_i)[y_i]
    hard = {i : l_i > -log(threshold)}, or the min_kept pixels of highest loss where those are more
    loss = mean of l_i over the hard pixels that are not void
    ```

    Args:
        threshold: Probability of the true class below which a pixel is hard. Defaults to `0.7`.
        min_kept: The minimum number of pixels that count in the whole batch: an integer, or a float
            between 0 and 1, their share of all pixels of the batch, void ones included. Defaults to
            `100000`.
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights. Defaults to `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        from_logits: Boolean, whether the network returns logits rather than probabilities. Defaults
            to `True`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `None`: the network's task
            or, without a network, binary for one channel and multiclass for several.
        name: Name of the loss. Defaults to `"ohem_cross_entropy"`.
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
        ValueError: If the threshold is not between 0 and 1, `min_kept` is neither a number of
            pixels nor a share, class weights or shapes do not fit, or a label in a NumPy array is
            neither a class nor void. In a tensor, such a label makes the loss NaN.

    Example:

    >>> labels = np.array([[[0, 0, 255]]])
    >>> logits = np.array([[[[9.0, 0.0], [0.0, 0.0], [0.0, 9.0]]]], "float32")
    >>> round(float(OHEMCrossEntropy(min_kept=1)(labels, logits)), 3)  # only the second pixel
    0.693

    Reference:
        "AttaNet: Attention-Augmented Network for Fast and Accurate Scene Parsing" (Song et al.,
        2021), the authors' code; "Training Region-based Object Detectors with Online Hard Example
        Mining" (Shrivastava et al., 2016).

    **Differences from the code**: in the authors' code, if a batch has fewer than `min_kept`
    labeled pixels, void pixels count as correct ones and lower the mean. Here, pixels with the same
    loss at the cutoff of `min_kept` all count. AttaNet's paper only mentions cross-entropy.
    """

    def __init__(
        self,
        threshold=0.7,
        min_kept=100000,
        class_weights=None,
        ignore_class=255,
        from_logits=True,
        task=None,
        name="ohem_cross_entropy",
        **kwargs,
    ):
        super().__init__(class_weights, ignore_class, from_logits, task, name=name, **kwargs)
        if not 0 < threshold < 1:
            raise ValueError(f"`threshold` must be between 0 and 1. Received: {threshold}")
        if not (min_kept >= 1 and min_kept == int(min_kept)) and not 0 < min_kept < 1:
            raise ValueError(
                "`min_kept` must be a number of pixels, an integer of at least 1, or a fraction of "
                f"them between 0 and 1. Received: {min_kept}"
            )
        self.threshold = threshold
        self.min_kept = min_kept

    def pixel_losses(self, labels, logits):
        return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)

    def pixel_weights(self, losses, weights):
        # Void pixels have weight 0 and come last.
        ranked = ops.where(weights > 0, ops.stop_gradient(losses), -1.0)
        ranked_pixels = ops.reshape(ranked, (-1,))
        min_kept = self._number_kept(ops.shape(ranked_pixels)[0])
        hardest = _largest(ranked_pixels, min_kept)
        if count_replicas() > 1:
            # A replica contributes at most these to the `min_kept` hardest pixels of the batch.
            hardest = _largest(gather_from_replicas(hardest), min_kept)
        edge = ops.minimum(ops.min(hardest), -math.log(self.threshold))
        return ops.where(ranked >= edge, weights, 0.0)

    def _number_kept(self, size):
        """`min_kept` as a number, for `size` pixels on each replica."""
        if self.min_kept >= 1:
            return int(self.min_kept)
        if isinstance(size, int):
            return max(1, int(size * count_replicas() * self.min_kept))
        # In a graph of TensorFlow with free sizes.
        pixels = ops.cast(size, "float32") * (count_replicas() * self.min_kept)
        return ops.maximum(1, ops.cast(pixels, "int32"))

    def get_config(self):
        return {
            **super().get_config(),
            "threshold": self.threshold,
            "min_kept": self.min_kept,
        }


def _largest(values, count):
    """Returns the `count` largest values, or all if there are fewer, in any order."""
    size = ops.shape(values)[0]
    if isinstance(size, int) and isinstance(count, int):
        count = min(count, size)
    else:
        # In a graph of TensorFlow with free sizes.
        count = ops.minimum(count, size)
    # Faster than sorting all values; see benchmarks/NOTES.md.
    return ops.top_k(values, count, sorted=False)[0]
