"""A learning rate that falls in steps, after a linear warm-up."""

import keras
from keras import ops

from keras_segattn.arguments import check_at_least


@keras.saving.register_keras_serializable(package="keras_segattn")
class WarmupStepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is multiplied by a factor at some steps, after a linear warm-up.

    ```
    warmup = warmup_factor + (1 - warmup_factor) * min(step / warmup_steps, 1)
    rate   = initial_learning_rate * decay_factor^(number of boundaries <= step) * warmup
    ```

    Without warm-up this is Keras's `PiecewiseConstantDecay`, which keeps a rate for one step more.

    Args:
        initial_learning_rate: Float, the rate after the warm-up.
        boundaries: Sequence of steps; from each of them on, the rate is multiplied.
        decay_factor: Float. Defaults to `0.1`.
        warmup_steps: Integer. Defaults to `0`.
        warmup_factor: Float, the share of the rate that the warm-up starts from. Defaults to `1/3`.

    Raises:
        ValueError: If a rate is not positive, or the boundaries do not rise.

    Example:

    >>> schedule = WarmupStepDecay(0.02, (60, 80), warmup_steps=10)
    >>> [round(float(schedule(step)), 4) for step in (0, 5, 10, 60, 80)]
    [0.0067, 0.0133, 0.02, 0.002, 0.0002]

    Reference:
        The schedule of maskrcnn-benchmark, `WarmupMultiStepLR`.
    """

    def __init__(
        self,
        initial_learning_rate,
        boundaries,
        decay_factor=0.1,
        warmup_steps=0,
        warmup_factor=1 / 3,
    ):
        for name, value in (
            ("initial_learning_rate", initial_learning_rate),
            ("decay_factor", decay_factor),
            ("warmup_factor", warmup_factor),
        ):
            if not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {value}")
        check_at_least("warmup_steps", warmup_steps, 0)
        boundaries = [int(step) for step in boundaries]
        if boundaries != sorted(set(boundaries)) or min(boundaries, default=1) < 1:
            raise ValueError(
                f"`boundaries` must be increasing steps of at least 1. Received: {boundaries}"
            )
        self.initial_learning_rate = initial_learning_rate
        self.boundaries = boundaries
        self.decay_factor = decay_factor
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rate = ops.ones_like(step) * self.initial_learning_rate
        for boundary in self.boundaries:
            rate = ops.where(step < boundary, rate, rate * self.decay_factor)
        if not self.warmup_steps:
            return rate
        grown = ops.minimum(step / self.warmup_steps, 1.0)
        return rate * (self.warmup_factor + (1 - self.warmup_factor) * grown)

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "boundaries": self.boundaries,
            "decay_factor": self.decay_factor,
            "warmup_steps": self.warmup_steps,
            "warmup_factor": self.warmup_factor,
        }
