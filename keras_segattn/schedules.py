"""The "poly" schedule of the learning rate, by step or by epoch, with a warm-up."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_segattn")
class PolyDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Polynomial decay of the learning rate after a warm-up.

    ```
    step < W :  rate = warmup_rate * (initial_rate / warmup_rate)^(step / W)        W = warmup_steps
    else     :  rate = (initial_rate - end_rate) * (1 - (step - W) / (steps - W))^power + end_rate
    ```

    By epoch, `steps` and `step` count whole epochs: `floor(step / steps_per_epoch)`. Without
    warm-up and by step this is Keras's `PolynomialDecay`, which has neither of the two.

    Args:
        initial_rate: Float, the rate after the warm-up.
        steps: Integer, the number of steps of the whole training, warm-up included. `end_rate`
            from there on.
        power: Float. Defaults to `0.9`.
        end_rate: Float, the least rate. Defaults to `0.0`.
        warmup_steps: Integer. Defaults to `0`.
        warmup_rate: Float, the rate of the first step of the warm-up, which grows geometrically.
            Defaults to `1e-5`.
        steps_per_epoch: Integer, to lower the rate between epochs alone; `None` to lower it at
            every step. Defaults to `None`.

    Raises:
        ValueError: If a rate is negative, or the steps are not more than those of the warm-up.

    Example:

    >>> schedule = PolyDecay(0.01, steps=100, end_rate=1e-4)
    >>> [round(float(schedule(step)), 4) for step in (0, 50, 100)]
    [0.01, 0.0054, 0.0001]

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), section 4.1, by
        epoch; "Cross-CBAM" (Zhang et al., 2023), section 4.2, by step with a least rate; the code
        of "AttaNet" (Song et al., 2021) for the warm-up.
    """

    def __init__(
        self,
        initial_rate,
        steps,
        power=0.9,
        end_rate=0.0,
        warmup_steps=0,
        warmup_rate=1e-5,
        steps_per_epoch=None,
    ):
        for name, rate in (("initial_rate", initial_rate), ("warmup_rate", warmup_rate)):
            if not rate > 0:
                raise ValueError(f"`{name}` must be positive. Received: {rate}")
        if not 0 <= end_rate <= initial_rate:
            raise ValueError(
                f"`end_rate` must be from 0 to the initial rate {initial_rate}. Received: "
                f"{end_rate}"
            )
        if not 0 <= warmup_steps < steps:
            raise ValueError(
                f"`steps` must be more than those of the warm-up. Received: steps={steps}, "
                f"warmup_steps={warmup_steps}"
            )
        self.initial_rate = initial_rate
        self.steps = steps
        self.power = power
        self.end_rate = end_rate
        self.warmup_steps = warmup_steps
        self.warmup_rate = warmup_rate
        self.steps_per_epoch = steps_per_epoch

    def __call__(self, step):
        step = ops.cast(step, "float32")
        progress = step - self.warmup_steps
        length = self.steps - self.warmup_steps
        if self.steps_per_epoch:
            progress = ops.floor(progress / self.steps_per_epoch)
            length = length / self.steps_per_epoch
        left = ops.clip(1 - progress / length, 0.0, 1.0)
        rate = (self.initial_rate - self.end_rate) * ops.power(left, self.power) + self.end_rate
        if not self.warmup_steps:
            return rate
        growth = self.initial_rate / self.warmup_rate
        warmup = self.warmup_rate * ops.power(growth, step / self.warmup_steps)
        return ops.where(step < self.warmup_steps, warmup, rate)

    def get_config(self):
        return {
            "initial_rate": self.initial_rate,
            "steps": self.steps,
            "power": self.power,
            "end_rate": self.end_rate,
            "warmup_steps": self.warmup_steps,
            "warmup_rate": self.warmup_rate,
            "steps_per_epoch": self.steps_per_epoch,
        }
