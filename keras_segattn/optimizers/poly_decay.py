"""The "poly" learning rate schedule, by step or by epoch, with a warm-up."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_segattn")
class PolyDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Polynomial decay of the learning rate after a warm-up.

    ```
    W, S = warmup_steps, decay_steps
    initial, end, first = initial_learning_rate, end_learning_rate, warmup_learning_rate

    step < W :  rate = first * (initial / first)^(step / W)
    else     :  rate = (initial - end) * (1 - (step - W) / (S - W))^power + end
    ```

    By epoch, `decay_steps` and `step` count whole epochs: `floor(step / steps_per_epoch)`. By step
    and without warm-up, the schedule equals Keras's `PolynomialDecay`, which supports neither
    epochs nor warm-up.

    Args:
        initial_learning_rate: Float, the rate after the warm-up.
        decay_steps: Integer, the number of steps of the whole training, including the warm-up.
            After it, the rate is `end_learning_rate`.
        power: Float. Defaults to `0.9`.
        end_learning_rate: Float, the minimum rate. Defaults to `0.0`.
        warmup_steps: Integer. Defaults to `0`.
        warmup_learning_rate: Float, the rate of the first warm-up step; the rate then grows
            geometrically. Defaults to `1e-5`.
        steps_per_epoch: Integer, to lower the rate only between epochs; `None` to lower it at
            every step. Defaults to `None`.

    Raises:
        ValueError: If a rate is negative, or `decay_steps` does not exceed `warmup_steps`.

    Example:

    >>> schedule = PolyDecay(0.01, decay_steps=100, end_learning_rate=1e-4)
    >>> [round(float(schedule(step)), 4) for step in (0, 50, 100)]
    [0.01, 0.0054, 0.0001]

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), section 4.1, by
        epoch; "Cross-CBAM" (Zhang et al., 2023), section 4.2, by step with a minimum rate; the code
        of "AttaNet" (Song et al., 2021) for the warm-up.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        power=0.9,
        end_learning_rate=0.0,
        warmup_steps=0,
        warmup_learning_rate=1e-5,
        steps_per_epoch=None,
    ):
        rates = {
            "initial_learning_rate": initial_learning_rate,
            "warmup_learning_rate": warmup_learning_rate,
        }
        for name, rate in rates.items():
            if not rate > 0:
                raise ValueError(f"`{name}` must be positive. Received: {rate}")
        if not 0 <= end_learning_rate <= initial_learning_rate:
            raise ValueError(
                "`end_learning_rate` must be from 0 to the initial rate "
                f"{initial_learning_rate}. Received: {end_learning_rate}"
            )
        if not 0 <= warmup_steps < decay_steps:
            raise ValueError(
                "`decay_steps` must be greater than `warmup_steps`. Received: "
                f"decay_steps={decay_steps}, warmup_steps={warmup_steps}"
            )
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.power = power
        self.end_learning_rate = end_learning_rate
        self.warmup_steps = warmup_steps
        self.warmup_learning_rate = warmup_learning_rate
        self.steps_per_epoch = steps_per_epoch

    def __call__(self, step):
        step = ops.cast(step, "float32")
        progress = step - self.warmup_steps
        length = self.decay_steps - self.warmup_steps
        if self.steps_per_epoch:
            progress = ops.floor(progress / self.steps_per_epoch)
            length = length / self.steps_per_epoch
        left = ops.clip(1 - progress / length, 0.0, 1.0)
        span = self.initial_learning_rate - self.end_learning_rate
        rate = span * ops.power(left, self.power) + self.end_learning_rate
        if not self.warmup_steps:
            return rate
        growth = self.initial_learning_rate / self.warmup_learning_rate
        warmup = self.warmup_learning_rate * ops.power(growth, step / self.warmup_steps)
        return ops.where(step < self.warmup_steps, warmup, rate)

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "power": self.power,
            "end_learning_rate": self.end_learning_rate,
            "warmup_steps": self.warmup_steps,
            "warmup_learning_rate": self.warmup_learning_rate,
            "steps_per_epoch": self.steps_per_epoch,
        }
