"""Training options that are not part of a recipe."""

import dataclasses

from keras_segattn.arguments import check_at_least, check_choice
from keras_segattn.training.strategies import STRATEGIES


def _may_change(default):
    """A field that may change when a run is resumed."""
    return dataclasses.field(default=default, metadata={"may_change": True})


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options for running a recipe: the initial weights and the use of the machine.

    A run records its options and must be resumed with the same options. The exceptions do not
    change the computation: `strategy`, `virtual_devices` and `tensorboard`.

    Args:
        seed: Integer, the seed of the initial weights and of the order and augmentation of the
            samples. Defaults to `0`.
        backbone_weights: Initial backbone weights, as in the networks; `None` for random weights,
            or `"recipe"` for the recipe's choice. Defaults to `"recipe"`.
        initial_model: Path of a `.keras` file of the same network with initial weights. Defaults to
            `None`.
        mixed_precision: `"float16"`, `"bfloat16"` or `None`. Defaults to `None`.
        jit_compile: Boolean or `"auto"`, as in `compile`. Defaults to `"auto"`.
        gradient_accumulation_steps: Integer, the number of batches whose gradients are combined
            into one step, for machines whose memory is too small for the recipe's batch. Defaults
            to `None`.
        ema_momentum: Float, the momentum of a moving average of the weights; the average is
            validated and returned. Defaults to `None`, no average.
        early_stopping_patience: Integer, the number of epochs without a better mean IoU after which
            training stops. A stopped run does not continue. Defaults to `None`.
        deterministic: Boolean, whether TensorFlow computes deterministically; this is slower and
            applies to the rest of the process. Other backends reject it. Defaults to `False`.
        sync_batch_norm: Boolean, whether batch normalization uses the batch of all devices with a
            TensorFlow strategy. Defaults to `False`.
        strategy: `"none"`, `"mirrored"`, `"multi_worker"` or `"data_parallel"`, the way several
            devices share a training. Defaults to `"none"`.
        virtual_devices: Integer, the number of virtual devices to split the CPU into, or `None` for
            the physical devices. Defaults to `None`.
        tensorboard: Boolean, whether to write logs and pictures for TensorBoard to the run folder.
            Defaults to `False`.

    Raises:
        ValueError: If an option has an invalid value.

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
                f"`ema_momentum` must be at least 0 and below 1. Received: {self.ema_momentum}"
            )

    def decisive(self):
        """Returns a dict of the options that determine the result of a training."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.metadata.get("may_change")
        }
