"""What is checked before a training reads its data."""

from pathlib import Path

import keras


def check_training(recipe, data, options):
    """Raises a ValueError where a recipe, its data and options cannot train together.

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
            raise ValueError(f"No image of the {split} data has a mask: {data[split]!r}.")
    names = data["train"].class_names
    if list(names) != list(data["val"].class_names):
        raise ValueError(
            f"The train and the val data have different classes: {list(names)} and "
            f"{list(data['val'].class_names)}."
        )
    samples, batch = len(data["train"]), recipe.batch_size
    steps = samples // batch
    if not steps:
        raise ValueError(
            f"The {samples} samples of the train data do not fill a batch of {batch}. Take "
            f"`batch_size={samples}` or less."
        )
    total = recipe.epochs_of(steps) * steps
    if recipe.warmup_steps >= total:
        raise ValueError(
            f"`warmup_steps={recipe.warmup_steps}` does not fit into a training of {total} steps "
            f"({steps} in an epoch). Take fewer, or train longer."
        )
    accumulated = options.gradient_accumulation_steps
    if accumulated is not None and accumulated > steps:
        raise ValueError(
            f"`gradient_accumulation_steps={accumulated}` is more than the {steps} steps of an "
            f"epoch ({samples} samples in batches of {batch}): an epoch would not change the "
            f"weights. Take {steps} or fewer, or a smaller `batch_size`."
        )
    if options.initial_model is not None and not Path(options.initial_model).is_file():
        raise ValueError(f"`initial_model={options.initial_model}` is no file.")


def check_batch_norm(model, batch_size):
    """Raises a ValueError where batch normalization would normalize a single value.

    It would put out 0 whatever it gets, so that no gradient passes.

    Args:
        model: The network.
        batch_size: Integer, the number of samples that batch normalization sees together.
    """
    if batch_size > 1:
        return
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            shape = (layer.get_build_config() or {}).get("input_shape") or (None, None, None)
            if all(side == 1 for side in shape[1:-1]):
                raise ValueError(
                    f"`batch_size={batch_size}` on each device does not train {model.name!r}: "
                    f"{layer.path} normalizes a pooled map, which is one value per channel and "
                    "image, and a single value normalized is 0. Take `batch_size` 2 or more."
                )
