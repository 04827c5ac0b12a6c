"""Figures of training curves."""

import csv

from keras_segattn.visualization.figures import new_figure, save_figure


def plot_history(path, log_path):
    """Draws the curves of a log written by `keras.callbacks.CSVLogger`.

    Args:
        path: The file to write, in a format that matplotlib supports.
        log_path: The CSV file. A column `val_x` shares a panel with `x`, and all columns
            `val_iou_NAME`, one per class, share the last panel.

    A curve skips epochs without a value (`NA`, as with `validation_freq`).

    Raises:
        ValueError: If the log contains no epoch.
    """
    with open(log_path, newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{log_path} contains no epoch yet; train for at least one.")
    epochs = [int(row["epoch"]) + 1 for row in rows]
    others = ("epoch", "val_", "iou_")
    names = [name for name in rows[0] if not name.startswith(others)]
    classes = [name for name in rows[0] if name.startswith("val_iou_")]
    panels = len(names) + bool(classes)
    figure = new_figure(4 * panels, 3.2)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis, name in zip(axes, names, strict=False):
        for key, label in ((name, "train"), (f"val_{name}", "validation")):
            if key in rows[0]:
                axis.plot(*_curve(epochs, rows, key), label=label)
        axis.set_title(name.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
    axis.legend()
    if classes:
        _plot_classes(axes[-1], epochs, rows, classes)
    for axis in axes:
        # There is no epoch 1.2.
        axis.xaxis.get_major_locator().set_params(integer=True)
    save_figure(figure, path, dpi=100)


def _curve(epochs, rows, name):
    """Returns the epochs with a value, and their values."""
    points = [
        (epoch, float(row[name]))
        for epoch, row in zip(epochs, rows, strict=True)
        if row[name] not in ("NA", "")
    ]
    return [epoch for epoch, _ in points], [value for _, value in points]


def _plot_classes(axis, epochs, rows, names):
    for number, name in enumerate(names):
        # matplotlib has ten colors.
        style = ("-", "--", ":")[number // 10 % 3]
        axis.plot(*_curve(epochs, rows, name), style, label=name.removeprefix("val_iou_"))
    axis.set_title("IoU of each class, validation")
    axis.set_xlabel("epoch")
    axis.grid(alpha=0.3)
    if len(names) <= 20:
        axis.legend(fontsize=6, ncols=2)
