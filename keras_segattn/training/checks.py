"""Checks that run before a training reads its data."""

import warnings
from pathlib import Path

import numpy as np

from keras_segattn.applications.batch_checks import layer_of_single_values
from keras_segattn.wording import counted

# Void fraction of a crop, beyond the recipe's own, above which to warn.
MUCH_VOID = 0.1


def check_training(recipe, data, options):
    """Raises a ValueError if a recipe, its data and the options do not work together.

    Args:
        recipe: A `Recipe`.
        data: Dict of `SegmentationDataset`, `"train"` and `"val"`.
        options: A `TrainingOptions`.
    """
    missing = {"train", "val"} - set(data)
    if missing:
        raise ValueError(f"`data` needs 'train' and 'val'. Received: {sorted(data)}")
    for split in ("train", "val"):
        if not data[split].has_masks:
            raise ValueError(
                f"No image of the {split} data has a mask: {data[split]!r}. Pass data with masks."
            )
    names = data["train"].class_names
    if list(names) != list(data["val"].class_names):
        raise ValueError(
            f"The train and val data have different classes: {list(names)} and "
            f"{list(data['val'].class_names)}. Open both with the same `class_names`."
        )
    ranges = data["train"].value_range, data["val"].value_range
    if ranges[0] != ranges[1]:
        raise ValueError(
            f"The train and val data have different value ranges: {ranges[0]} and {ranges[1]}. "
            "Open the val data with value_range=train.value_range."
        )
    samples, batch = len(data["train"]), recipe.batch_size
    steps = samples // batch
    if not steps:
        raise ValueError(
            f"The train data have {counted(samples, 'sample')}, too few for a batch of {batch}. "
            f"Pass `batch_size={samples}` or less."
        )
    total = recipe.epochs_of(steps) * steps
    if recipe.warmup_steps >= total:
        raise ValueError(
            f"`warmup_steps={recipe.warmup_steps}` does not fit into a training of "
            f"{counted(total, 'step')} ({steps} per epoch). Use fewer, or train longer."
        )
    accumulated = options.gradient_accumulation_steps
    if accumulated is not None and accumulated > steps:
        raise ValueError(
            f"`gradient_accumulation_steps={accumulated}` exceeds an epoch of "
            f"{counted(steps, 'step')} ({counted(samples, 'sample')} in batches of {batch}), so "
            f"the weights would not change. Use {steps} or fewer, or a smaller `batch_size`."
        )
    if options.initial_model is not None and not Path(options.initial_model).is_file():
        raise ValueError(f"`initial_model={options.initial_model}` is not a file.")


def check_batch_norm(model, batch_size):
    """Raises a ValueError if batch normalization would normalize a single value.

    Its output would then be 0 for any input, and no gradient would pass.

    Args:
        model: The network.
        batch_size: Integer, the number of samples that batch normalization normalizes together.
    """
    layer = None if batch_size > 1 else layer_of_single_values(model)
    if layer is not None:
        raise ValueError(
            f"`batch_size={batch_size}` per device cannot train {model.name!r}: {layer.path} "
            "normalizes a pooled map with one value per channel and image, and a single value "
            "always normalizes to 0. Use `batch_size` 2 or more."
        )


def warn_of_void_crops(recipe, data):
    """Warns if images smaller than the recipe expects leave much of its crops void.

    Args:
        recipe: A `Recipe`.
        data: The `SegmentationDataset` to train on.
    """
    if recipe.image_size is None or recipe.crop is None:
        return
    size = data.read(0)[1].shape[:2]
    void, meant = void_shares(recipe, size), void_shares(recipe, recipe.image_size)
    if void.mean() < meant.mean() + MUCH_VOID:
        return
    average, intended = f"{void.mean():.0%}", f"{meant.mean():.0%}"
    warnings.warn(
        f"Recipe {recipe.name!r} expects images of {_text(recipe.image_size)} pixels (height x "
        f"width), but the first image has {_text(size)}. Its crops of {_text(recipe.crop)} would "
        f"be {average} void on average ({intended} with the expected images), and one crop in ten "
        f"at least {np.quantile(void, 0.9):.0%}. Use larger images, a smaller `crop` or a larger "
        "`scale`.",
        stacklevel=2,
    )


def void_shares(recipe, size):
    """Returns the fraction of a crop that an image does not fill, for random scale factors.

    Args:
        recipe: A `Recipe` with `crop`.
        size: Tuple `(height, width)` of the image.
    """
    if recipe.short_sides is not None:
        factors = np.array(recipe.short_sides) / min(size)
    elif recipe.scales is not None:
        factors = np.array(recipe.scales)
    else:
        factors = np.linspace(*recipe.scale, 1001)
    filled = [
        np.minimum(factors * side, crop) / crop
        for side, crop in zip(size, recipe.crop, strict=True)
    ]
    return 1 - filled[0] * filled[1]


def _text(size):
    return "x".join(map(str, size))
