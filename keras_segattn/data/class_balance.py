"""Counts the pixels of each class in a data set, and weighs the classes by the counts."""

import warnings

import numpy as np

from keras_segattn.arguments import check_choice
from keras_segattn.ground_truth import check_labels


def class_frequencies(dataset):
    """Returns an array of class fractions; see `SegmentationDataset`."""
    counts, known = _pixel_counts(dataset)
    return counts.sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def class_weights(dataset, method="enet"):
    """Returns a list of one weight per class; see `SegmentationDataset`."""
    check_choice("method", method, ("enet", "median_frequency"))
    if method == "enet":
        frequencies = dataset.class_frequencies()
        warn_of_missing(dataset, frequencies > 0)
        return [float(weight) for weight in 1 / np.log(1.02 + frequencies)]
    counts, known = _pixel_counts(dataset)
    held = counts > 0
    occurs = held.any(axis=0)
    warn_of_missing(dataset, occurs)
    pixels = (held * known).sum(axis=0)
    frequencies = counts.sum(axis=0)[occurs] / pixels[occurs]
    weights = np.zeros(len(dataset.class_names))
    weights[occurs] = np.median(frequencies) / frequencies
    return [float(weight) for weight in weights]


def positive_weight(dataset):
    """Returns the foreground weight, or a list of one per class; see `SegmentationDataset`."""
    if dataset.task == "multiclass":
        raise ValueError(
            "A positive weight is for data sets of the tasks 'binary' and 'multilabel'; use "
            f"`class_weights`. Received: task={dataset.task!r}"
        )
    counts, known = (array.sum(axis=0) for array in _pixel_counts(dataset))
    if dataset.task == "binary":
        counts, known = counts[1:], known[1:]
    occurs = counts > 0
    warn_of_missing(dataset, occurs, dataset.class_names[-len(occurs) :])
    weights = np.where(occurs, (known - counts) / np.maximum(counts, 1), 1.0)
    # A class that is everywhere would weigh nothing.
    weights = np.maximum(weights, 1 / np.maximum(known, 1)).tolist()
    return weights[0] if dataset.task == "binary" else weights


def warn_of_missing(dataset, occurs, names=None):
    """Warns about classes that occur in no mask, on behalf of the caller of a data set's method.

    Args:
        dataset: `SegmentationDataset`.
        occurs: Booleans, one for each name.
        names: Sequence of class names, or `None` for all classes. Defaults to `None`.
    """
    names = dataset.class_names if names is None else names
    missing = [name for name, found in zip(names, occurs, strict=True) if not found]
    if missing:
        warnings.warn(f"No mask of {dataset!r} contains: {', '.join(missing)}.", stacklevel=4)


def _pixel_counts(dataset):
    """Returns the pixels of each class (column) per image (row), and the non-void pixels."""
    counts = np.zeros((len(dataset), len(dataset.class_names)), dtype="int64")
    known = np.zeros_like(counts)
    for index in range(len(dataset)):
        _, mask = dataset.read(index)
        where = f"the mask of {dataset.name(index)}"
        check_labels(mask, dataset.labels, dataset.ignore_class, where)
        known[index] = (mask != dataset.ignore_class).sum(axis=(0, 1))
        if dataset.task == "multilabel":
            counts[index] = (mask == 1).sum(axis=(0, 1))
        else:
            counts[index] = np.bincount(mask.ravel(), minlength=256)[: len(dataset.class_names)]
    if not known.any():
        raise ValueError(
            f"All pixels of {dataset!r} are void. Check the masks, and `label_map` if there is one."
        )
    return counts, known
