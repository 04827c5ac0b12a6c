"""Weighted sums of losses."""

from numbers import Real

import keras


@keras.saving.register_keras_serializable(package="keras_segattn")
class SumOfLosses(keras.losses.Loss):
    """Weighted sum of losses over the same outputs.

    `loss = sum_i weights[i] * losses[i](y_true, y_pred)`

    Arithmetic on this package's losses creates it: `0.5 * DiceLoss() + WeightedCrossEntropy()`.

    Args:
        losses: Sequence of losses from this package or from Keras. Each keeps its own reduction.
        weights: Sequence of one finite number per loss, or `None` for 1 each. Defaults to `None`.
        name: Name of the loss. Defaults to `"sum_of_losses"`.
        **kwargs: `dtype`, as in every Keras loss.

    Call arguments:
        y_true: Integer labels, as the losses expect them.
        y_pred: Logits or probabilities, as the losses expect them.
        sample_weight: As the losses expect it. Defaults to `None`.

    Returns:
        Scalar, if the losses return scalars.

    Raises:
        ValueError: If there are no losses, the weights do not fit, or some losses expect logits and
            others probabilities.

    Example:

    >>> from keras_segattn.losses import DiceLoss, WeightedCrossEntropy
    >>> loss = 0.5 * DiceLoss(smooth=0.0) + WeightedCrossEntropy()
    >>> labels, logits = np.array([[[0, 1]]]), np.zeros((1, 1, 2, 2), "float32")
    >>> round(float(loss(labels, logits)), 4)  # 0.5 * 0.5 + log 2
    0.9431
    """

    def __init__(self, losses, weights=None, name="sum_of_losses", **kwargs):
        # Half precision would round labels above 256 or 2048.
        kwargs["dtype"] = kwargs.get("dtype") or "float32"
        super().__init__(name=name, **kwargs)
        self.losses = [_from_config(loss) for loss in losses]
        self.weights = [1.0] * len(self.losses) if weights is None else list(map(float, weights))
        others = [one for one in self.losses if not isinstance(one, keras.losses.Loss)]
        if others or not self.losses:
            raise ValueError(f"`losses` must be one or more Keras losses. Received: {losses}")
        finite = all(weight - weight == 0 for weight in self.weights)
        if len(self.weights) != len(self.losses) or not finite:
            raise ValueError(
                f"`weights` must be one finite number for each of the {len(self.losses)} losses. "
                f"Received: {weights}"
            )
        if len({*map(_from_logits, self.losses)} - {None}) > 1:
            raise ValueError(
                "Some losses of the sum expect logits, and others expect probabilities: "
                f"{[f'{one.name}, from_logits={_from_logits(one)}' for one in self.losses]}. Pass "
                "the same `from_logits` to all of them."
            )

    @property
    def from_logits(self):
        """True if the losses expect logits; `None` if none of them specifies it."""
        return next((v for v in map(_from_logits, self.losses) if v is not None), None)

    def for_task(self, task):
        """Returns the sum for a network's task; see `SegmentationLoss.for_task`."""
        losses = [one.for_task(task) if hasattr(one, "for_task") else one for one in self.losses]
        if all(new is old for new, old in zip(losses, self.losses, strict=True)):
            return self
        return SumOfLosses(losses, self.weights, name=self.name, dtype=self.dtype)

    def check_numpy_labels(self, y_true, channels):
        """Raises a ValueError if a label in a NumPy array is neither a class nor void."""
        for one in self.losses:
            if hasattr(one, "check_numpy_labels"):
                one.check_numpy_labels(y_true, channels)

    def __call__(self, y_true, y_pred, sample_weight=None):
        values = [one(y_true, y_pred, sample_weight=sample_weight) for one in self.losses]
        first, *rest = (w * value for w, value in zip(self.weights, values, strict=True))
        return sum(rest, first)

    def __mul__(self, factor):
        if not isinstance(factor, Real):
            return NotImplemented
        return SumOfLosses(self.losses, [factor * weight for weight in self.weights])

    __rmul__ = __mul__

    def __add__(self, other):
        if isinstance(other, Real) and other == 0:  # `sum` starts from 0
            return self
        if not isinstance(other, keras.losses.Loss):
            return NotImplemented
        other = other if isinstance(other, SumOfLosses) else SumOfLosses([other])
        return SumOfLosses([*self.losses, *other.losses], [*self.weights, *other.weights])

    def __radd__(self, other):
        if isinstance(other, Real) and other == 0:
            return self
        if not isinstance(other, keras.losses.Loss):
            return NotImplemented
        return SumOfLosses([other]) + self

    def get_config(self):
        config = super().get_config()
        # Each loss has its own reduction.
        config.pop("reduction")
        losses = [keras.saving.serialize_keras_object(one) for one in self.losses]
        return {**config, "losses": losses, "weights": self.weights}


def _from_config(loss):
    return keras.saving.deserialize_keras_object(loss) if isinstance(loss, dict) else loss


def _from_logits(loss):
    return getattr(loss, "from_logits", None)
