"""The settings of a training, as data."""

import dataclasses
import math

from keras_segattn.arguments import EVALUATION, check_at_least, check_choice, check_evaluation
from keras_segattn.backbones.registry import has_imagenet_weights, is_preset
from keras_segattn.recipes.named_objects import as_plain, find, is_serialized

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("poly", "cosine")
# Fields that also accept a user's own objects.
OBJECTS = ("loss", "auxiliary_loss", "optimizer", "schedule", "augmentation")
LEAST = {
    "epochs": 1,
    "steps": 1,
    "batch_size": 1,
    "learning_rate": 0,
    "end_learning_rate": 0,
    "momentum": 0,
    "warmup_steps": 0,
    "weight_decay": 0,
    "rare_class_crops": 0,
    "color_jitter": 0,
    "class_weights_power": 0,
}
LOSSES = (
    "weighted_cross_entropy",
    "focal",
    "ohem",
    "binary_cross_entropy",
    "dice",
    "jaccard",
    "tversky",
    "focal_tversky",
    "lovasz",
    "boundary",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings for training a network on a data set, from its paper or chosen by us.

    `keras_segattn.training` runs recipes; `dataclasses.replace(recipe, epochs=30)` changes one.
    `recipe.with_backbone("resnet18")` switches to another backbone and its ImageNet weights.

    `loss`, `auxiliary_loss`, `optimizer`, `schedule` and `augmentation` also accept your own: the
    registered name of a Keras class, `"my_package>MyLoss"`; an import path, `"my_losses.MyLoss"` or
    `"keras.optimizers.Lion"`; a class; or an object that Keras can serialize. An object keeps its
    own settings; an optimizer also keeps its learning rate and weight decay.

    Args:
        name: Name of the recipe.
        source: Its source: the paper and section, and the authors' code.
        network: Name of a function in `keras_segattn.applications`.
        network_arguments: Dict of the network's arguments, without `classes`.
        backbone_weights: Initial weights of the backbone: `"imagenet"`, or `None` for random
            weights. Defaults to `None`.
        dataset: Name of the data set: `"camvid"`, `"cityscapes"` or `"ade20k"`; `"own"` for any.
        image_size: Tuple `(height, width)`, the image size for which crops and scales were chosen,
            or `None` for any. Training warns if other images leave much of a crop void. Defaults to
            `None`.
        optimizer: `"adam"`, `"adamw"` or `"sgd"`, or another optimizer, without `rate_factors`. A
            class gets `weight_decay`, and `momentum` if it has that argument.
        optimizer_arguments: Dict of further arguments of the optimizer. Defaults to `None`.
        learning_rate: Float, the initial rate, or the rate after the warm-up.
        end_learning_rate: Float, the rate at the end of the schedule. Defaults to `0.0`.
        momentum: Float, the momentum of SGD. Defaults to `0.9`.
        decay_by: `"step"` or `"epoch"`, the interval of the rate's decay with the power 0.9.
            Defaults to `"step"`.
        schedule: `"poly"`, `"cosine"`, or another schedule of the learning rate, without
            `end_learning_rate`, `decay_by` and `warmup_steps`. A class gets
            `initial_learning_rate` and `decay_steps` if it has these arguments. Defaults to
            `"poly"`.
        schedule_arguments: Dict of further arguments of another schedule. Defaults to `None`.
        warmup_steps: Integer, number of steps in which the rate grows geometrically from 1e-5.
            Defaults to `0`.
        weight_decay: Float, the L2 factor added to the gradient, as in PyTorch's optimizers; for
            AdamW, the decoupled decay.
        decay_kernels_only: Boolean, whether to exclude biases and batch normalization from the
            decay. Defaults to `False`.
        rate_factors: Dict from layer names to factors for their learning rate; the backbone's name
            applies to all its layers. Defaults to `None`.
        batch_size: Integer.
        crop: Tuple `(height, width)`, or `None` for the size of the first image. Defaults to
            `None`.
        scale: Tuple of the smallest and largest random factor. Defaults to `(0.5, 2.0)`.
        scales: Sequence of factors to draw from instead. Defaults to `None`.
        short_sides: Sequence of lengths of the shorter side to draw from instead. Defaults to
            `None`.
        rare_class_crops: Float, the fraction of crops placed on a class drawn uniformly from the
            classes in the image. Defaults to `0.0`.
        color_jitter: Float, strength of `ColorJitter`. Defaults to `0.0`, none.
        augmentation: Callable `(image, mask, rng) -> (image, mask)` or a `Compose` of
            albumentations, applied before the crop, instead of the color jitter. Defaults to
            `None`.
        augmentation_arguments: Dict of the arguments of an augmentation that is a class. Defaults
            to `None`.
        loss: `"weighted_cross_entropy"`, `"focal"`, `"ohem"`, `"binary_cross_entropy"`, `"dice"`,
            `"jaccard"`, `"tversky"`, `"focal_tversky"`, `"lovasz"` or `"boundary"`; or a dict from
            such names to their weights in a sum, `{"dice": 0.5, "focal": 1}` for example. Your
            own class gets `class_weights` if it has that argument. Defaults to
            `"weighted_cross_entropy"`.
        loss_arguments: Dict of arguments of the loss; for a sum, a dict from loss names to dicts of
            arguments. Defaults to `None`.
        auxiliary_loss: The loss of the auxiliary heads, a name or a dict. Defaults to `None`, the
            loss of the main output.
        auxiliary_loss_arguments: Dict of arguments of the auxiliary loss. Defaults to `None`.
        loss_weights: Sequence of one weight for the main output and one for each auxiliary output.
            Defaults to `None`: 1 for the main output, and the network's own weights for the others.
        class_weights: `None`, or the `method` of the data set's `class_weights`. Defaults to
            `None`.
        class_weights_power: Float, the exponent applied to the class weights: `0.5` is halfway, on
            a logarithmic scale, between no weights and full weights. Defaults to `1.0`.
        epochs: Integer; `None` if `steps` is given. Defaults to `None`.
        steps: Integer, the number of batches in the whole training. Defaults to `None`.
        evaluation: Dict of the evaluation options `size`, `scales`, `flip`, `tile` and `overlap` of
            `keras_segattn.inference.segment`; empty for whole images at their own size. Defaults to
            empty.
        validation: Dict of `size`, `scales` and `flip` for the validation after each epoch, which
            selects the best epoch; use it if `evaluation` takes too long. Defaults to `None`, which
            means `evaluation` without its sliding window.
        our_choices: Dict from fields that the paper does not specify to the reason for their value.

    Raises:
        ValueError: If neither or both of `epochs` and `steps` are given, a name is unknown, or a
            loss or weight is given for auxiliary heads that the network does not have.
    """

    name: str
    source: str
    network: str
    network_arguments: dict
    backbone_weights: str | None = None
    dataset: str
    image_size: tuple[int, int] | None = None
    optimizer: str | dict
    optimizer_arguments: dict | None = None
    learning_rate: float
    end_learning_rate: float = 0.0
    momentum: float = 0.9
    decay_by: str = "step"
    schedule: str | dict = "poly"
    schedule_arguments: dict | None = None
    warmup_steps: int = 0
    weight_decay: float
    decay_kernels_only: bool = False
    rate_factors: dict | None = None
    batch_size: int
    crop: tuple[int, int] | None = None
    scale: tuple[float, float] = (0.5, 2.0)
    scales: tuple[float, ...] | None = None
    short_sides: tuple[int, ...] | None = None
    rare_class_crops: float = 0.0
    color_jitter: float = 0.0
    augmentation: str | dict | None = None
    augmentation_arguments: dict | None = None
    loss: str | dict = "weighted_cross_entropy"
    loss_arguments: dict | None = None
    auxiliary_loss: str | dict | None = None
    auxiliary_loss_arguments: dict | None = None
    loss_weights: tuple[float, ...] | None = None
    class_weights: str | None = None
    class_weights_power: float = 1.0
    epochs: int | None = None
    steps: int | None = None
    evaluation: dict = dataclasses.field(default_factory=dict)
    validation: dict | None = None
    our_choices: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for field in OBJECTS:
            # The dataclass is frozen.
            object.__setattr__(self, field, as_plain(field, getattr(self, field)))
        check_choice("decay_by", self.decay_by, ("step", "epoch"))
        self._check_objects()
        _check_loss("loss", self.loss, self.loss_arguments)
        if self.auxiliary_loss is not None:
            _check_loss("auxiliary_loss", self.auxiliary_loss, self.auxiliary_loss_arguments)
        for field, least in LEAST.items():
            value = getattr(self, field)
            if value is not None:
                check_at_least(field, value, least)
                if not math.isfinite(value):
                    raise ValueError(f"`{field}` must be finite. Received: {value}")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` must be positive. Received: {self.learning_rate}")
        if self.end_learning_rate > self.learning_rate:
            raise ValueError(
                f"`end_learning_rate` must be at most `learning_rate`, {self.learning_rate}. "
                f"Received: {self.end_learning_rate}"
            )
        if self.crop is not None and not (len(self.crop) == 2 and min(self.crop) >= 1):
            raise ValueError(f"`crop` must be two positive sides. Received: {self.crop}")
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise ValueError(
                "`scale` must be the smallest and the largest factor, both positive. Received: "
                f"{tuple(self.scale)}"
            )
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                "A recipe must have either `epochs` or `steps`. Received: "
                f"epochs={self.epochs}, steps={self.steps}"
            )
        check_evaluation(self.evaluation, sliding=True)
        check_evaluation(self.validation or {})
        for field in ("auxiliary_loss", "auxiliary_loss_arguments", "loss_weights"):
            if getattr(self, field) and not self.network_arguments.get("auxiliary_heads"):
                raise ValueError(
                    f"`{field}` needs network_arguments={{'auxiliary_heads': True}}. Received: "
                    f"{field}={getattr(self, field)!r}, network_arguments={self.network_arguments}"
                )
        if self.auxiliary_loss_arguments and not self.auxiliary_loss:
            raise ValueError(
                "`auxiliary_loss_arguments` needs `auxiliary_loss`. Received: "
                f"{self.auxiliary_loss_arguments}"
            )

    def _check_objects(self):
        for field, choices in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("augmentation", ()),
        ):
            value, arguments = getattr(self, field), getattr(self, f"{field}_arguments")
            if isinstance(value, str) and value not in choices:
                find(field, value, choices)
            if arguments and (value is None or value in SCHEDULES or is_serialized(value)):
                raise ValueError(
                    f"`{field}_arguments` requires the name of a class. Received: {arguments}, "
                    f"with {field}={value!r}"
                )
        if self.schedule == "cosine" and self.decay_by == "epoch":
            raise ValueError("`decay_by='epoch'` needs schedule='poly'. Received: 'cosine'")
        if self.rate_factors and self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"`rate_factors` needs one of the optimizers {OPTIMIZERS}: others have one rate. "
                f"Set it to None. Received: optimizer={self.optimizer!r}, "
                f"rate_factors={self.rate_factors}"
            )

    @property
    def validation_options(self):
        """The options for the validation after each epoch, on whole images."""
        if self.validation is not None:
            return self.validation
        return {name: value for name, value in self.evaluation.items() if name in EVALUATION}

    def with_backbone(self, backbone):
        """Returns the recipe with another backbone, by name.

        The backbone starts from ImageNet weights where there are some for its name, from its preset
        if it comes from KerasHub, and otherwise from the recipe's own initial weights.

        Example:

        >>> light = keras_segattn.recipes.get("attanet_light_camvid")
        >>> light.backbone_weights, light.with_backbone("resnet18").backbone_weights
        (None, 'imagenet')
        """
        arguments = {**self.network_arguments, "backbone": backbone}
        weights = self.backbone_weights
        if is_preset(backbone):
            weights = None
        elif has_imagenet_weights(backbone, arguments.get("stem", "standard")):
            weights = "imagenet"
        reason = {"backbone_weights": f"{backbone} instead of the recipe's backbone"}
        before = self.network_arguments.get("backbone")
        rates = {
            backbone if name == before else name: factor
            for name, factor in (self.rate_factors or {}).items()
        }
        return dataclasses.replace(
            self,
            network_arguments=arguments,
            backbone_weights=weights,
            rate_factors=rates or None,
            our_choices={**self.our_choices, **reason},
        )

    def epochs_of(self, steps_per_epoch):
        """Returns the number of epochs, rounded up to reach the number of steps."""
        return self.epochs or -(-self.steps // steps_per_epoch)


def _check_loss(field, loss, arguments):
    """Raises a ValueError unless a loss is a known name or a dict from known names to weights."""
    if isinstance(loss, str):
        _check_loss_name(field, loss)
        return
    if is_serialized(loss):
        if arguments:
            raise ValueError(
                f"`{field}_arguments` requires the name of a loss, but `{field}` is an object. "
                f"Remove the arguments. Received: {arguments}"
            )
        return
    if not isinstance(loss, dict) or not loss:
        raise ValueError(
            f"`{field}` must be one of {LOSSES}, or a dict from such names to their weights in a "
            f"sum. Received: {loss!r}"
        )
    for name, weight in loss.items():
        _check_loss_name(field, name)
        check_at_least(f"{field} {name}", weight, 0)
    unknown = (arguments or {}).keys() - loss.keys()
    if unknown:
        raise ValueError(
            f"`{field}_arguments` of a sum has a dict for each of its losses, {list(loss)}. "
            f"Received: {arguments}"
        )


def _check_loss_name(field, name):
    if name not in LOSSES:
        find(field, name, LOSSES)
