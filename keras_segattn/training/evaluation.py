"""Scores of a model on a data set, and pictures of its predictions."""

from pathlib import Path

import keras
import numpy as np

from keras_segattn.ground_truth import check_labels
from keras_segattn.inference import segment
from keras_segattn.metrics import confusion_scores
from keras_segattn.spread import evenly_spread
from keras_segattn.visualization import plot_predictions


def has_labels(data):
    """Returns whether any pixel of a data set has a class, which scores need.

    The test set of Cityscapes, for example, comes with masks that are void everywhere. Masks are
    read only up to the first one with a class.

    Args:
        data: A `SegmentationDataset`.
    """
    return data.has_masks and any(
        (data.read(index)[1] != data.ignore_class).any() for index in range(len(data))
    )


def count_confusions(model, data, **options):
    """Counts the pixels of each true class (row) that a model gives each class (column).

    Args:
        model: A network with the classes of the data set.
        data: A `SegmentationDataset`.
        **options: Options of `keras_segattn.inference.segment`, such as `scales` and `flip` for the
            average over scales and mirror images, or `tile` for a sliding window.

    Returns:
        Integer array of shape `(classes, classes)`, over all samples, without void.

    Raises:
        ValueError: If no image has a mask, all pixels are void, the model has another number of
            classes than the data set, a label is neither a class nor void, or the network's
            outputs are not finite.
    """
    classes = len(data.class_names)
    if model.output.shape[-1] != classes:
        raise ValueError(
            f"Model {model.name!r} has {model.output.shape[-1]} classes, the data set {classes}."
        )
    if not data.has_masks:
        raise ValueError(
            f"No image of {data!r} has a mask to compare with. Take a split with masks, or "
            "`predict_folder` for masks of the images."
        )
    if not has_labels(data):
        raise ValueError(
            f"{data!r} has no labels: all its pixels are void, as in a test set whose labels are "
            "kept by a server. There is nothing to score; `write_submission` writes the files of "
            "a server."
        )
    matrix = np.zeros((classes, classes), dtype="int64")
    progress = keras.utils.Progbar(len(data), unit_name="image")
    for index in range(len(data)):
        image, mask = data.read(index)
        check_labels(mask, classes, data.ignore_class, where=f"the mask of {data.name(index)}")
        found = segment(model, image, keep_probabilities=False, **options).class_map
        seen = mask != data.ignore_class
        cells = mask[seen].astype("int64") * classes + found[seen]
        matrix += np.bincount(cells, minlength=classes**2).reshape(classes, classes)
        progress.add(1)
    return matrix


def evaluate(model, data, **options):
    """Returns the scores of a model over all samples of a data set.

    Args:
        model: A network with the classes of the data set.
        data: A `SegmentationDataset`.
        **options: Options of `count_confusions`.

    Returns:
        Dict with `"mean_iou"`, `"pixel_accuracy"` and `"iou"`, as
        `keras_segattn.metrics.confusion_scores` returns it.
    """
    return confusion_scores(count_confusions(model, data, **options), data.class_names)


def draw_predictions(model, data, path, count=4, **options):
    """Draws some samples of a data set, their masks and a model's predictions, into a PNG.

    Args:
        model: A network with the classes of the data set.
        data: A `SegmentationDataset`.
        path: The file.
        count: Integer, the number of samples, taken evenly. Defaults to `4`.
        **options: Options of `keras_segattn.inference.segment`.
    """
    chosen = evenly_spread(len(data), count)
    images, masks = zip(*(data.read(index) for index in chosen), strict=True)
    found = [segment(model, image, **options).class_map for image in images]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    plot_predictions(path, images, masks, found, data.class_names, data.palette)


def print_scores(result):
    """Prints a table of the IoU of each class, the mean, and the pixel accuracy, in per cent."""
    width = max(map(len, result["iou"]))
    for name, value in result["iou"].items():
        print(f"  {name:<{width}}", "    -" if value is None else f"{100 * value:5.1f}")
    print(
        f"mean IoU {100 * result['mean_iou']:.1f}, "
        f"pixel accuracy {100 * result['pixel_accuracy']:.1f}"
    )
