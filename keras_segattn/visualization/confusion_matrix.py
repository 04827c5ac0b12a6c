"""Figures of confusion matrices."""

import numpy as np

from keras_segattn.visualization.figures import new_figure, save_figure


def plot_confusion_matrix(path, matrix, class_names):
    """Draws a confusion matrix: for each true class, the share of pixels per predicted class.

    For multilabel masks, it draws recall, precision and intersection over union of each class.

    Args:
        path: The file, in a format that matplotlib supports.
        matrix: Array of shape `(classes, classes)`, true classes in rows, such as the result of
            `keras_segattn.metrics.ConfusionMatrix`; or `(classes, 2, 2)` for multilabel masks.
        class_names: Class names.

    Raises:
        ValueError: If the matrix is not square or does not match the names.
    """
    matrix = np.asarray(matrix, dtype="float64")
    if matrix.shape == (len(class_names), 2, 2):
        hits, true, predicted = matrix[:, 1, 1], matrix[:, 1].sum(1), matrix[:, :, 1].sum(1)
        above = np.stack([hits] * 3, axis=1)
        below = np.stack([true, predicted, true + predicted - hits], axis=1)
        columns, title, label = ["recall", "precision", "IoU"], "% of pixels", None
    elif matrix.shape == (len(class_names), len(class_names)):
        above, below = matrix, matrix.sum(axis=1, keepdims=True)
        columns, title = class_names, "% of the pixels of each true class"
        label = "predicted"
    else:
        raise ValueError(
            f"The matrix must have shape {(len(class_names),) * 2}, a row and a column for each of "
            f"`class_names`. Received: shape {matrix.shape}"
        )
    # A class without pixels gets an empty row.
    shares = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    side = 2 + 0.55 * len(class_names)
    figure = new_figure(side, side)
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if np.isfinite(share) and share >= 0.005:
            color = "white" if share > 0.5 else "black"
            text = f"{100 * share:.0f}"
            axis.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    axis.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axis.set_yticks(range(len(class_names)), class_names)
    axis.set_xlabel(label)
    axis.set_ylabel("true")
    axis.set_title(title)
    save_figure(figure, path, dpi=100)
