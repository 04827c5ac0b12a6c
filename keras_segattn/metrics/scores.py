"""Scores computed from a confusion matrix."""

import numpy as np

from keras_segattn.wording import counted


def confusion_scores(matrix, class_names=None):
    """Computes intersection over union, F1, precision, recall and accuracy from a confusion matrix.

    For each class, with its correctly predicted pixels (`hits`), predicted pixels and true pixels:

    ```
    iou       = hits / (true + predicted - hits)
    f1        = 2 * hits / (true + predicted)              # the same as Dice
    precision = hits / predicted
    recall    = hits / true
    ```

    `mean_iou` and the other means run over the classes that occur in the labels or predictions
    (macro averages). In a mean, a precision without predictions or a recall without true pixels is
    0. `micro_iou` and the other micro averages use the sums of hits, true and predicted pixels over
    all classes. `frequency_weighted_iou` weights each class by its true pixels. `pixel_accuracy` is
    the fraction of correct pixels.

    Args:
        matrix: Array of shape `(classes, classes)`, true classes in rows; or, for multilabel masks,
            `(classes, 2, 2)`, a matrix of absent and present for each class.
        class_names: Names of the classes. Defaults to their numbers.

    Returns:
        Dict with `"mean_iou"`, `"pixel_accuracy"` and `"iou"`, a dict from each class to its
        intersection over union; likewise `"mean_f1"`, `"f1"`, `"mean_precision"`, `"precision"`,
        `"mean_recall"`, `"recall"`; `"micro_iou"`, `"micro_f1"`, `"micro_precision"`,
        `"micro_recall"` and `"frequency_weighted_iou"`. A value is `None` for a class that does not
        occur, a precision without predictions, or a recall without true pixels.

    Example:

    >>> scores = confusion_scores([[6, 2], [0, 2]], ["road", "car"])
    >>> scores["iou"], scores["precision"], scores["recall"]
    ({'road': 0.75, 'car': 0.5}, {'road': 1.0, 'car': 0.5}, {'road': 0.75, 'car': 1.0})
    """
    matrix = np.asarray(matrix, dtype="float64")
    if class_names is None:
        class_names = [str(i) for i in range(len(matrix))]
    if len(class_names) != len(matrix):
        raise ValueError(
            f"A matrix of {counted(len(matrix), 'class')} needs as many `class_names`. Received: "
            f"{class_names}"
        )
    hits, true, predicted, right = _pixels(matrix)
    both, total = true + predicted, matrix.sum()
    fractions = {
        "iou": (hits, both - hits),
        "f1": (2 * hits, both),
        "precision": (hits, predicted),
        "recall": (hits, true),
    }
    result = {}
    for name, (above, below) in fractions.items():
        values = [_fraction(*pair) for pair in zip(above, below, strict=True)]
        result[name] = dict(zip(class_names, values, strict=True))
        filled = np.array([value or 0.0 for value in values])[both > 0]
        result[f"mean_{name}"] = float(filled.mean()) if len(filled) else None
        result[f"micro_{name}"] = _fraction(above.sum(), below.sum())
    iou = np.array([value or 0.0 for value in result["iou"].values()])
    result["frequency_weighted_iou"] = _fraction((true * iou).sum(), true.sum())
    result["pixel_accuracy"] = _fraction(right, total)
    return result


def _pixels(matrix):
    """Returns the correct, true and predicted pixels of each class, and all correct pixels."""
    if matrix.ndim == 2:
        hits = np.diag(matrix)
        return hits, matrix.sum(axis=1), matrix.sum(axis=0), hits.sum()
    hits = matrix[:, 1, 1]
    return (
        hits,
        matrix[:, 1].sum(axis=1),
        matrix[:, :, 1].sum(axis=1),
        hits.sum() + matrix[:, 0, 0].sum(),
    )


def _fraction(above, below):
    return float(above / below) if below > 0 else None
