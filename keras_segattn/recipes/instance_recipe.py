"""Settings for training instance segmentation, as data."""

import dataclasses

from keras_segattn.arguments import check_at_least

LEAST = {
    "batch_size": 1,
    "epochs": 1,
    "steps": 1,
    "learning_rate": 0,
    "decay_factor": 0,
    "warmup_steps": 0,
    "warmup_factor": 0,
    "momentum": 0,
    "weight_decay": 0,
    "bias_rate_factor": 0,
    "short_side": 1,
    "long_side": 1,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstanceRecipe:
    """Settings for training an instance segmentation network, from its paper or chosen by us.

    `keras_segattn.training.train_instances` trains with SGD according to a recipe. To change a
    recipe, use `dataclasses.replace(recipe, steps=9000)`.

    Args:
        name: Name of the recipe.
        source: Origin of the settings: the paper with the section, and the code.
        network: Name of a function in `keras_segattn.applications`. Defaults to `"MaskRCNN"`.
        network_arguments: Dict of its arguments, without `classes`.
        backbone_weights: Initial weights of the backbone: `"imagenet"`, or `None` for random
            weights. Defaults to `None`.
        dataset: Name of the data set.
        learning_rate: Float, the rate after the warm-up.
        decay_at: Tuple of the shares of the training after which the rate is multiplied by
            `decay_factor`. Defaults to none.
        decay_factor: Float. Defaults to `0.1`.
        warmup_steps: Integer, the number of steps in which the rate grows linearly. Defaults to
            `0`.
        warmup_factor: Float, the fraction of the rate at which the warm-up starts. Defaults to
            `1/3`.
        momentum: Float. Defaults to `0.9`.
        weight_decay: Float, the factor of L2 in the gradients of kernels, as in PyTorch's SGD.
            Biases have none.
        bias_rate_factor: Float, the factor of the learning rate of biases. Defaults to `1.0`.
        batch_size: Integer.
        short_side: Integer, the length in pixels to which the shorter side of an image is resized.
            Defaults to `None`, no resizing.
        long_side: Integer, the maximum length of the longer side after that. Defaults to `None`, no
            limit.
        epochs: Integer, or `None` if `steps` is given. Defaults to `None`.
        steps: Integer, the number of batches of the whole training. Defaults to `None`.
        our_choices: Dict from fields that the paper does not specify to the reason for their value.

    Raises:
        ValueError: If neither or both of `epochs` and `steps` are given, or a value is impossible.
    """

    name: str
    source: str
    network: str = "MaskRCNN"
    network_arguments: dict
    backbone_weights: str | None = None
    dataset: str
    learning_rate: float
    decay_at: tuple = ()
    decay_factor: float = 0.1
    warmup_steps: int = 0
    warmup_factor: float = 1 / 3
    momentum: float = 0.9
    weight_decay: float
    bias_rate_factor: float = 1.0
    batch_size: int
    short_side: int | None = None
    long_side: int | None = None
    epochs: int | None = None
    steps: int | None = None
    our_choices: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for field, least in LEAST.items():
            value = getattr(self, field)
            if value is not None:
                check_at_least(field, value, least)
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be positive. Received: {self.learning_rate}")
        if not all(0 < share < 1 for share in self.decay_at):
            raise ValueError(
                "`decay_at` must be fractions of the training, between 0 and 1. Received: "
                f"{self.decay_at}"
            )
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                "A recipe must have either `epochs` or `steps`. Received: "
                f"epochs={self.epochs}, steps={self.steps}"
            )

    @property
    def image_size(self):
        """Dict of the sides to which images are resized: arguments of `segment_instances`."""
        return {"short_side": self.short_side, "long_side": self.long_side}

    def epochs_of(self, steps_per_epoch):
        """Returns the number of epochs; the last one may end early at the number of steps."""
        return self.epochs or -(-self.steps // steps_per_epoch)
