"""Calibration error: the gap between probabilities and accuracy."""

import keras
from keras import ops

from keras_segattn.arguments import check_at_least
from keras_segattn.metrics.pixel_counts import PixelCounts


@keras.saving.register_keras_serializable(package="keras_segattn")
class CalibrationError(PixelCounts):
    """Expected calibration error of the pixels that are not void.

    ```
    error = sum over bins b of n_b / n * |share of right pixels in b - mean probability in b|
    ```

    over `num_bins` bins of equal width. A pixel counts with the probability of its best class and
    is right if this class is its label. With sigmoids, each class of a pixel counts with the
    probability that it is present and is right if it is present. The error is 0 if, for example, 80
    % of the pixels with probability 0.8 are right, and likewise for all other probabilities.

    Args:
        num_classes: Integer, the number of classes; 2 with `"binary"`.
        num_bins: Integer. Defaults to `15`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `"multiclass"`.
        from_logits: Boolean, whether the network returns logits rather than probabilities. Defaults
            to `True`.
        name: Name of the metric. Defaults to `"calibration_error"`.
        **kwargs: `dtype`, as in every Keras metric.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`; for
            multilabel masks, zeros and ones of shape `(batch, height, width, num_classes)`.
        y_pred: Logits or probabilities of shape `(batch, height, width, num_classes)`, with one
            channel for a binary network.

    Returns:
        Scalar from 0 to 1; NaN after invalid labels or NaN logits.

    Raises:
        ValueError: If `num_bins` is below 1, shapes or the number of classes do not fit, or a label
            in a NumPy array is neither a class nor void.

    Example:

    >>> metric = CalibrationError(num_classes=2, from_logits=False)
    >>> metric.update_state(np.array([[[0, 0]]]), np.array([[[[0.8, 0.2], [0.8, 0.2]]]]))
    >>> round(float(metric.result()), 3)  # 0.8 predicted, and all pixels are right
    0.2

    Reference:
        "On Calibration of Modern Neural Networks" (Guo et al., 2017), equation 3.
    """

    def __init__(
        self,
        num_classes,
        num_bins=15,
        ignore_class=255,
        task="multiclass",
        from_logits=True,
        name="calibration_error",
        **kwargs,
    ):
        check_at_least("num_bins", num_bins, 1)
        super().__init__(
            (3, num_bins), num_classes, ignore_class, task, None, from_logits, name=name, **kwargs
        )
        self.num_bins = num_bins

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the pixels of a batch, as in `ConfusionMatrix`."""
        y_pred, labels, weights = self.read(y_true, y_pred, sample_weight)
        y_pred = ops.cast(y_pred, "float32")
        if self.task == "multiclass":
            if self.from_logits:
                y_pred = ops.softmax(y_pred)
            promised = ops.max(y_pred, axis=-1)
            right = ops.cast(ops.equal(self.predicted(y_pred), labels), "float32")
        else:
            promised = ops.sigmoid(y_pred) if self.from_logits else y_pred
            promised = promised[..., 0] if self.task == "binary" else promised
            right = ops.cast(labels, "float32")
        # Void pixels have weight 0, but 0 * NaN is NaN.
        promised = ops.where(weights > 0, promised, 0.0)
        bins = ops.cast(ops.floor(promised * self.num_bins), "int32")
        bins = ops.clip(bins, 0, self.num_bins - 1)
        self.add(
            ops.stack([bins, bins + self.num_bins, bins + 2 * self.num_bins]),
            ops.stack([weights, weights * right, weights * promised]),
        )

    def result(self):
        pixels, right, promised = ops.unstack(self.total(), 3, axis=0)
        return ops.sum(ops.abs(right - promised)) / ops.maximum(ops.sum(pixels), 1.0)

    def get_config(self):
        config = super().get_config()
        config.pop("threshold")
        return {**config, "num_bins": self.num_bins}
