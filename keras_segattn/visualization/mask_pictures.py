"""Figures of masks over images, with a legend."""

import numpy as np

from keras_segattn.images import to_rgb
from keras_segattn.visualization.figures import class_patches, new_figure, save_figure
from keras_segattn.visualization.masks import error_map, overlay_mask


def plot_overlay(path, image, mask, class_names, palette, alpha=0.6):
    """Writes a picture of a mask over its image, with the classes that occur and their shares.

    Args:
        path: The file, of a format of matplotlib's.
        image: uint8 array of shape `(height, width, bands)`.
        mask: Integer array of shape `(height, width)`; labels without a class are void. Or of shape
            `(height, width, classes)`, 1 where a pixel has a label.
        class_names: Class names.
        palette: One RGB color per class.
        alpha: Opacity of the mask, from 0 to 1. Defaults to `0.6`.
    """
    mask = np.asarray(mask, dtype="int64")
    height, width = mask.shape[:2]
    if mask.ndim == 3:
        counts = (mask == 1).sum(axis=(0, 1))
    else:
        labels = mask[(mask >= 0) & (mask < len(class_names))]
        counts = np.bincount(labels, minlength=len(class_names))
    present = [label for label in np.argsort(-counts) if counts[label]]
    names = [f"{class_names[label]} {counts[label] / (height * width):.1%}" for label in present]
    figure = new_figure(8, 8 * height / width + 0.3 * -(-len(names) // 4))
    axis = figure.subplots()
    axis.imshow(overlay_mask(image, mask, palette, alpha))
    axis.set_axis_off()
    patches = class_patches(names, [palette[label] for label in present])
    figure.legend(handles=patches, loc="outside lower center", ncols=min(max(len(names), 1), 4))
    save_figure(figure, path, dpi=100)


def plot_predictions(path, images, masks, predictions, class_names, palette, errors=False):
    """Writes a picture with a row per image: the image, its mask, the prediction, and a legend.

    Args:
        path: The file, of a format of matplotlib's.
        images: Sequence of uint8 arrays of shape `(height, width, bands)`.
        masks: Sequence of the true masks `(height, width)`, or `(height, width, classes)` of
            several labels per pixel.
        predictions: Sequence of the predicted masks, of the same shapes.
        class_names: Class names.
        palette: One RGB color per class.
        errors: Boolean, whether a fourth column shows the wrong pixels. Defaults to `False`.
    """
    titles = ["image", "label", "prediction"] + ["errors"] * errors
    height, width = images[0].shape[:2]
    panel = 4.0
    figure = new_figure(len(titles) * panel, len(images) * panel * height / width + 0.9)
    axes = figure.subplots(len(images), len(titles), squeeze=False)
    for row, image, mask, prediction in zip(axes, images, masks, predictions, strict=True):
        row[0].imshow(to_rgb(image))
        row[1].imshow(overlay_mask(image, mask, palette))
        row[2].imshow(overlay_mask(image, prediction, palette))
        if errors:
            row[3].imshow(error_map(image, mask, prediction, len(class_names)))
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    for axis in axes.flat:
        axis.set_axis_off()
    patches = class_patches(class_names, palette)
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 6))
    save_figure(figure, path, dpi=80)
