"""Figures of masks over images, with a legend."""

import numpy as np

from keras_segattn.images import to_rgb
from keras_segattn.visualization.figures import class_patches, new_figure, save_figure
from keras_segattn.visualization.masks import error_map, overlay_mask
from keras_segattn.wording import counted


def plot_overlay(path, image, mask, class_names, palette, alpha=0.6):
    """Writes a figure of a mask over its image, with the classes that occur and their shares.

    Args:
        path: The file, in a format that matplotlib supports.
        image: uint8 array of shape `(height, width, bands)`.
        mask: Integer array of shape `(height, width)`; labels without a class are void. Or array of
            shape `(height, width, classes)`, 1 where a pixel has the label.
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


def plot_comparison(path, images, masks, predictions, class_names, palette, boxes=None, alpha=0.6):
    """Writes a figure with a row per image and a column per network, as in papers.

    The first column is the image, and the last column is the true mask, as in figure 8 of the
    Cross-CBAM paper.

    Args:
        path: The file, in a format that matplotlib supports.
        images: Sequence of uint8 arrays of shape `(height, width, bands)`.
        masks: Sequence of the true masks `(height, width)`.
        predictions: Dict from network names, used as column titles, to predictions: a sequence of
            masks `(height, width)`, one per image.
        class_names: Class names.
        palette: One RGB color per class.
        boxes: Sequence, per image, of boxes `(top, left, bottom, right)` in pixels to frame in all
            columns except the first, as in figures 6 and 7 of the AttaNet paper. Defaults to
            `None`.
        alpha: Opacity of the masks, from 0 to 1. Defaults to `0.6`.

    Raises:
        ValueError: If there are no predictions, or a network does not have one per image.

    Example:

    ```python
    names = {"AttaNet": attanet, "Cross-CBAM": cross_cbam}
    predictions = {
        name: [result.class_map for result in segment(model, images)]
        for name, model in names.items()
    }
    plot_comparison("comparison.png", images, masks, predictions, data.class_names, data.palette)
    ```
    """
    if not predictions:
        raise ValueError("`predictions` is empty: pass the predictions of at least one network.")
    for name, found in predictions.items():
        if len(found) != len(images):
            raise ValueError(
                f"{name!r} must have one prediction for {counted(len(images), 'image')} each. "
                f"Received: {len(found)}"
            )
    titles = ["image", *predictions, "label"]
    height, width = images[0].shape[:2]
    panel = 3.0
    figure = new_figure(len(titles) * panel, len(images) * panel * height / width + 0.9)
    axes = figure.subplots(len(images), len(titles), squeeze=False)
    boxes = [()] * len(images) if boxes is None else boxes
    rows = zip(axes, images, masks, boxes, *predictions.values(), strict=True)
    for row, image, mask, framed, *found in rows:
        row[0].imshow(to_rgb(image))
        for axis, labels in zip(row[1:], [*found, mask], strict=True):
            axis.imshow(overlay_mask(image, labels, palette, alpha))
            for box in framed:
                _frame(axis, *box)
    _finish(figure, axes, titles, class_names, palette, path)


def _frame(axis, top, left, bottom, right):
    across, down = (left, right, right, left, left), (top, top, bottom, bottom, top)
    axis.plot(across, down, color="red", linewidth=2)


def plot_predictions(path, images, masks, predictions, class_names, palette, errors=False):
    """Writes a figure with a row per image: the image, its mask, the prediction, and a legend.

    Args:
        path: The file, in a format that matplotlib supports.
        images: Sequence of uint8 arrays of shape `(height, width, bands)`.
        masks: Sequence of the true masks `(height, width)`, or `(height, width, classes)` with
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
    _finish(figure, axes, titles, class_names, palette, path)


def _finish(figure, axes, titles, class_names, palette, path):
    """Writes a figure with column titles and a legend of the classes."""
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    for axis in axes.flat:
        axis.set_axis_off()
    patches = class_patches(class_names, palette)
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 6))
    save_figure(figure, path, dpi=80)
