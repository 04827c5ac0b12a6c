"""Pictures of masks and of training curves. Needs matplotlib: the extra `visualization`."""

import csv

import keras
import numpy as np


def overlay_mask(image, mask, palette, alpha=0.6):
    """Draws the classes of a mask over an image; void pixels show the image.

    Args:
        image: uint8 array of shape `(height, width, 3)`.
        mask: Integer array of shape `(height, width)`; labels that `palette` lacks are void.
        palette: Sequence of one RGB colour per class.
        alpha: Opacity of the mask, from 0 to 1. Defaults to `0.6`.

    Returns:
        uint8 array of shape `(height, width, 3)`.

    Example:

    >>> image, mask = np.zeros((4, 6, 3), "uint8"), np.ones((4, 6), "uint8")
    >>> overlay_mask(image, mask, palette=[(0, 0, 0), (255, 0, 0)], alpha=1.0)[0, 0].tolist()
    [255, 0, 0]
    """
    mask = np.asarray(mask, dtype="int32")
    # Keras counts classes from 1 and leaves `ignore_index` out.
    shifted = np.where((mask >= 0) & (mask < len(palette)), mask + 1, 0)
    drawn = keras.visualization.draw_segmentation_masks(
        image[None],
        shifted[None, ..., None],
        num_classes=len(palette) + 1,
        color_mapping=dict(enumerate([[0, 0, 0], *map(list, palette)])),
        alpha=alpha,
        ignore_index=0,
        data_format="channels_last",
    )
    return np.asarray(drawn[0], dtype="uint8")


def plot_predictions(path, images, masks, predictions, classes, palette):
    """Writes a PNG with a row per image: the image, its mask and the prediction, and a legend.

    Args:
        path: The file.
        images: Sequence of uint8 arrays of shape `(height, width, 3)`.
        masks: Sequence of the true masks `(height, width)`.
        predictions: Sequence of the predicted masks `(height, width)`.
        classes: Class names.
        palette: One RGB colour per class.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    height, width = images[0].shape[:2]
    panel = 4.0
    figure = Figure(
        figsize=(3 * panel, len(images) * panel * height / width + 0.9), layout="constrained"
    )
    axes = figure.subplots(len(images), 3, squeeze=False)
    for row, image, mask, prediction in zip(axes, images, masks, predictions, strict=True):
        row[0].imshow(image)
        row[1].imshow(overlay_mask(image, mask, palette))
        row[2].imshow(overlay_mask(image, prediction, palette))
    for axis, title in zip(axes[0], ("image", "label", "prediction"), strict=True):
        axis.set_title(title)
    for axis in axes.flat:
        axis.set_axis_off()
    patches = [
        Patch(color=np.array(color) / 255, label=name)
        for name, color in zip(classes, palette, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 6))
    figure.savefig(path, dpi=80)


def plot_history(log_path, path):
    """Draws the curves of a log that `keras.callbacks.CSVLogger` wrote.

    Args:
        log_path: The CSV file. A column `val_x` shares a panel with `x`.
        path: The PNG file to write.
    """
    from matplotlib.figure import Figure

    with open(log_path, newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) + 1 for row in rows]
    names = [name for name in rows[0] if name != "epoch" and not name.startswith("val_")]
    figure = Figure(figsize=(4 * len(names), 3.2), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key, label in ((name, "train"), (f"val_{name}", "validation")):
            if key in rows[0]:
                axis.plot(epochs, [float(row[key]) for row in rows], label=label)
        axis.set_title(name.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=100)
