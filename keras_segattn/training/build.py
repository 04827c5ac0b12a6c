"""Builds the Keras objects for a training from the fields of a recipe."""

import keras

from keras_segattn import applications
from keras_segattn.data import ColorJitter, Compose, RandomScaleCropFlip
from keras_segattn.losses import (
    BinaryCrossEntropy,
    BoundaryLoss,
    DiceLoss,
    FocalLoss,
    FocalTverskyLoss,
    JaccardLoss,
    LovaszLoss,
    OHEMCrossEntropy,
    SumOfLosses,
    TverskyLoss,
    WeightedCrossEntropy,
)
from keras_segattn.losses.region_loss import RegionLoss
from keras_segattn.metrics import SegmentationScores
from keras_segattn.recipes.named_objects import build, is_serialized, takes

LOSSES = {
    "weighted_cross_entropy": WeightedCrossEntropy,
    "focal": FocalLoss,
    "ohem": OHEMCrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "dice": DiceLoss,
    "jaccard": JaccardLoss,
    "tversky": TverskyLoss,
    "focal_tversky": FocalTverskyLoss,
    "lovasz": LovaszLoss,
    "boundary": BoundaryLoss,
}


def build_model(recipe, data, backbone_weights=None):
    """Returns a recipe's network for a data set's task and classes, with the class names."""
    constructor = getattr(applications, recipe.network)
    task = task_for(recipe, data)
    model = constructor(
        classes=1 if task == "binary" else len(data.class_names),
        backbone_weights=backbone_weights,
        **{
            "input_shape": (None, None, data.channels),
            **recipe.network_arguments,
            "task": task,
        },
    )
    model.class_names = data.class_names
    model.palette = data.palette
    if data.value_range is not None:
        model.preprocessing = model.preprocessing.with_value_range(data.value_range)
    return model


def task_for(recipe, data):
    """Returns the task of a recipe's network: its own argument, or the data set's task.

    Raises:
        ValueError: If the masks of the data set do not fit the task.
    """
    task = recipe.network_arguments.get("task", data.task)
    if (task == "multilabel") != (data.task == "multilabel"):
        raise ValueError(
            f"Recipe {recipe.name!r} is for task={task!r}, but the masks of {data!r} are for "
            f"task={data.task!r}: one label per pixel, or several. Omit `task` from "
            "`network_arguments` to use the data set's task."
        )
    if task == "binary" and len(data.class_names) != 2:
        raise ValueError(
            "A binary network has two classes, background and foreground. Received: "
            f"{list(data.class_names)}. Merge classes with `label_map` of SegmentationFolder."
        )
    return task


def build_loss(recipe, data):
    """Returns a recipe's loss, with class weights computed from the masks of a data set.

    If the recipe has an auxiliary loss, the result is a list for `DeepSupervision.compile`: the
    loss of the main output and the loss of the auxiliary outputs.
    """
    class_weights = None
    if recipe.class_weights is not None:
        weights = data.class_weights(recipe.class_weights)
        class_weights = [weight**recipe.class_weights_power for weight in weights]

    def build_one(name, arguments):
        if name not in LOSSES:
            return build_other(name, arguments)
        # A binary network has only one region, the foreground.
        weightless = issubclass(LOSSES[name], RegionLoss) and task_for(recipe, data) == "binary"
        weights = None if weightless else class_weights
        return LOSSES[name](**{"class_weights": weights, **(arguments or {})})

    def build_other(name, arguments):
        if class_weights is not None and not takes("loss", name, "class_weights"):
            raise ValueError(
                f"`class_weights={recipe.class_weights!r}` does not reach the loss {name!r}, which "
                "has no such argument. Set `class_weights` to None."
            )
        return build("loss", name, arguments, class_weights=class_weights)

    def build_any(loss, arguments):
        if is_serialized(loss):
            return build_other(loss, None)
        if isinstance(loss, str):
            return build_one(loss, arguments)
        losses = [build_one(name, (arguments or {}).get(name)) for name in loss]
        return SumOfLosses(losses, loss.values())

    loss = build_any(recipe.loss, recipe.loss_arguments)
    if recipe.auxiliary_loss is None:
        return loss
    return [loss, build_any(recipe.auxiliary_loss, recipe.auxiliary_loss_arguments)]


def build_metric(model):
    """Returns one metric with a model's mean IoU, pixel accuracy and IoU of each class."""
    return SegmentationScores(
        len(model.class_names),
        class_names=model.class_names,
        task=model.task,
        from_logits=model.from_logits,
    )


def build_augmentation(recipe, image_size):
    """Returns a recipe's augmentation; without a crop in the recipe, `image_size` is the crop."""
    geometry = RandomScaleCropFlip(
        recipe.crop or image_size,
        recipe.scale,
        recipe.scales,
        recipe.short_sides,
        rare_class_crops=recipe.rare_class_crops,
    )
    if recipe.augmentation is not None:
        own = build("augmentation", recipe.augmentation, recipe.augmentation_arguments)
        return Compose([own, geometry])
    if not recipe.color_jitter:
        return geometry
    return Compose([ColorJitter(*[recipe.color_jitter] * 3), geometry])


def synchronize_batch_norm(model):
    """Makes batch normalization use the batch of all replicas, like `synchronized=True`.

    The setting is not saved with the model, so the model loads on every backend. Call this function
    again after loading.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
