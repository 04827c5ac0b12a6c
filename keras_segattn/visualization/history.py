"""Figures of training curves."""

import csv

from keras_segattn.visualization.figures import new_figure, save_figure


def plot_history(log_path, path):
    """Draws the curves of a log that `keras.callbacks.CSVLogger` wrote.

    Args:
        log_path: The CSV file. A column `val_x` shares a panel with `x`.
        path: The file to write, of a format of matplotlib's.

    Raises:
        ValueError: If the log holds no epoch.
    """
    with open(log_path, newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{log_path} holds no epoch yet; train for one at least.")
    epochs = [int(row["epoch"]) + 1 for row in rows]
    names = [name for name in rows[0] if name != "epoch" and not name.startswith("val_")]
    figure = new_figure(4 * len(names), 3.2)
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key, label in ((name, "train"), (f"val_{name}", "validation")):
            if key in rows[0]:
                axis.plot(epochs, [float(row[key]) for row in rows], label=label)
        axis.set_title(name.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
    axis.legend()
    save_figure(figure, path, dpi=100)
