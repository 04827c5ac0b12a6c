"""Builds the optimizer and the schedule of a recipe."""

import keras

from keras_segattn.optimizers import (
    LayerwiseAdam,
    LayerwiseAdamW,
    LayerwiseSGD,
    PolyDecay,
    expand_rate_factors,
)
from keras_segattn.recipes.named_objects import build, find, is_serialized
from keras_segattn.recipes.recipe import OPTIMIZERS

# The first rate of a warm-up.
WARMUP_RATE = 1e-5


def build_optimizer(recipe, model, steps_per_epoch, **options):
    """Returns a recipe's optimizer with its schedule; `add_weight_decay` completes it.

    Args:
        recipe: A `Recipe`.
        model: The network to train, with the layers named in `recipe.rate_factors`.
        steps_per_epoch: Integer.
        **options: Further arguments of a Keras optimizer, such as `gradient_accumulation_steps` or
            `use_ema`.
    """
    given = recipe.optimizer_arguments or {}
    if recipe.optimizer not in OPTIMIZERS:
        return _other_optimizer(recipe, steps_per_epoch, options)
    rate = build_schedule(recipe, steps_per_epoch)
    options.update(given, rate_factors=expand_rate_factors(model, recipe.rate_factors or {}))
    if recipe.optimizer == "adam":
        return LayerwiseAdam(rate, **options)
    if recipe.optimizer == "sgd":
        return LayerwiseSGD(rate, **{"momentum": recipe.momentum, **options})
    return LayerwiseAdamW(rate, **{"weight_decay": recipe.weight_decay, **options})


def _other_optimizer(recipe, steps_per_epoch, options):
    if is_serialized(recipe.optimizer):
        plain = recipe.optimizer
        return build("optimizer", {**plain, "config": {**plain["config"], **options}})
    given = {**(recipe.optimizer_arguments or {}), **options}
    given.setdefault("learning_rate", build_schedule(recipe, steps_per_epoch))
    # Keras also treats zero as no decay, and some optimizers have no such argument.
    offered = {"momentum": recipe.momentum, "weight_decay": recipe.weight_decay or None}
    found = find("optimizer", recipe.optimizer)
    if not (isinstance(found, type) and issubclass(found, keras.optimizers.Optimizer)):
        raise ValueError(
            f"`optimizer={recipe.optimizer!r}` is not a Keras optimizer but {found!r}."
        )
    return build("optimizer", recipe.optimizer, given, **offered)


def build_schedule(recipe, steps_per_epoch):
    """Returns a recipe's schedule of the learning rate.

    Args:
        recipe: A `Recipe`.
        steps_per_epoch: Integer.
    """
    steps = recipe.epochs_of(steps_per_epoch) * steps_per_epoch
    if recipe.schedule == "poly":
        return PolyDecay(
            recipe.learning_rate,
            decay_steps=steps,
            end_learning_rate=recipe.end_learning_rate,
            warmup_steps=recipe.warmup_steps,
            steps_per_epoch=steps_per_epoch if recipe.decay_by == "epoch" else None,
        )
    if recipe.schedule == "cosine":
        warmup = {}
        if recipe.warmup_steps:
            warmup = {"warmup_target": recipe.learning_rate, "warmup_steps": recipe.warmup_steps}
        return keras.optimizers.schedules.CosineDecay(
            WARMUP_RATE if warmup else recipe.learning_rate,
            decay_steps=steps - recipe.warmup_steps,
            alpha=recipe.end_learning_rate / recipe.learning_rate,
            **warmup,
        )
    schedule = build(
        "schedule",
        recipe.schedule,
        recipe.schedule_arguments,
        initial_learning_rate=recipe.learning_rate,
        decay_steps=steps,
    )
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        raise ValueError(
            f"`schedule={recipe.schedule!r}` is not a Keras schedule but {schedule!r}."
        )
    return schedule


def add_weight_decay(model, recipe):
    """Sets a recipe's weight decay in the optimizer of a compiled model.

    SGD and Adam add L2 to the gradient, as in PyTorch; AdamW and others decay the weights directly.
    The loss does not include the decay.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if recipe.optimizer in ("adam", "sgd"):
        optimizer.l2, optimizer.l2_kernels_only = recipe.weight_decay, recipe.decay_kernels_only
    elif recipe.decay_kernels_only and getattr(optimizer, "weight_decay", None):
        # Keras does not save this exclusion with the optimizer.
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
