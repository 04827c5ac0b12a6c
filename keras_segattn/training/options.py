"""Everything about a training that is not in its recipe."""

import dataclasses

from keras_segattn.arguments import check_at_least, check_choice
from keras_segattn.training.strategies import STRATEGIES


def _may_change(default):
    """A field that a run may be resumed with another value of."""
    return dataclasses.field(default=default, metadata={"may_change": True})


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options for running a recipe: the initial weights, and the use of the machine.

    A run records its options. It is resumed with the same ones, except those that do not change
    the computation: `strategy`, `virtual_devices` and `tensorboard`.

    Args:
        seed: Integer, of the initial weights and of the order and augmentation of the samples.
            Defaults to `0`.
        backbone_weights: Weights of the backbone, as the networks take them, `None` to start from
            nothing, or `"recipe"` for those that the recipe starts from. Defaults to `"recipe"`.
        initial_model: Path of a `.keras` file of the same network, whose weights to start from.
            Defaults to `None`.
        mixed_precision: `"float16"`, `"bfloat16"` or `None`. Defaults to `None`.
        jit_compile: Boolean or `"auto"`, as in `compile`. Defaults to `"auto"`.
        gradient_accumulation_steps: Integer, the number of batches whose gradients make one step,
            for machines that cannot hold the batch of the recipe. Defaults to `None`.
        ema_momentum: Float, to keep a moving average of the weights, which is validated and
            returned. Defaults to `None`.
        early_stopping_patience: Integer, the number of epochs without a better mean IoU after which
            to stop. A run that has stopped does not train on. Defaults to `None`.
        deterministic: Boolean, whether TensorFlow computes the same on every run, which is slower
            and holds for the rest of the process. Other backends refuse it. Defaults to `False`.
        sync_batch_norm: Boolean, whether batch normalization sees the batch of all devices, where
            a strategy of TensorFlow divides it. Defaults to `False`.
        strategy: `"none"`, `"mirrored"`, `"multi_worker"` or `"data_parallel"`: how several devices
            share a training. Defaults to `"none"`.
        virtual_devices: Integer, the number of devices to divide the CPU into, or `None` for the
            devices that there are. Defaults to `None`.
        tensorboard: Boolean, whether to write logs and pictures for TensorBoard into the folder of
            the run. Defaults to `False`.

    Raises:
        ValueError: If an option has a value that it cannot have.

    Example:

    >>> keras_segattn.training.TrainingOptions(seed=1).ema_momentum is None
    True
    """

    seed: int = 0
    backbone_weights: str | None = "recipe"
    initial_model: str | None = None
    mixed_precision: str | None = None
    jit_compile: bool | str = "auto"
    gradient_accumulation_steps: int | None = None
    ema_momentum: float | None = None
    early_stopping_patience: int | None = None
    deterministic: bool = False
    sync_batch_norm: bool = False
    strategy: str = _may_change("none")
    virtual_devices: int | None = _may_change(None)
    tensorboard: bool = _may_change(False)

    def __post_init__(self):
        check_choice("mixed_precision", self.mixed_precision, (None, "float16", "bfloat16"))
        check_choice("strategy", self.strategy, STRATEGIES)
        check_choice("jit_compile", self.jit_compile, ("auto", True, False))
        for name, least in (
            ("gradient_accumulation_steps", 2),
            ("early_stopping_patience", 1),
            ("virtual_devices", 1),
        ):
            if getattr(self, name) is not None:
                check_at_least(name, getattr(self, name), least)
        if self.ema_momentum is not None and not 0 <= self.ema_momentum < 1:
            raise ValueError(
                f"`ema_momentum` must be from 0 to below 1. Received: {self.ema_momentum}"
            )

    def decisive(self):
        """Returns a dict of the options that decide the result of a training."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.metadata.get("may_change")
        }
