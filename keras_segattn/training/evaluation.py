"""Scores of a model on a data set, and figures of its predictions."""

from pathlib import Path

import keras
import numpy as np

from keras_segattn.applications.logits import task_of
from keras_segattn.arguments import check_returns_map
from keras_segattn.data.sampler import Sampler
from keras_segattn.inference import segment
from keras_segattn.metrics import confusion_scores
from keras_segattn.spread import evenly_spread
from keras_segattn.task import count_labels
from keras_segattn.training.image_scores import ImageScores
from keras_segattn.visualization import plot_confusion_matrix, plot_predictions
from keras_segattn.wording import counted


def has_labels(data):
    """Returns whether any pixel of a data set has a class, as scores require.

    The masks of Cityscapes' test set, for example, are void everywhere. Reading stops at the first
    mask with a class.

    Args:
        data: A `SegmentationDataset`.
    """
    return data.has_masks and any(
        (data.read(index)[1] != data.ignore_class).any() for index in range(len(data))
    )


def count_confusions(model, data, each=None, **options):
    """Counts the pixels of each true class (row) by predicted class (column).

    Args:
        model: A network with the classes of the data set.
        data: A `SegmentationDataset`.
        each: Callable that receives each sample's index and confusion matrix, or `None`. Defaults
            to `None`.
        **options: Options of `keras_segattn.inference.segment`, such as `scales` and `flip` to
            average over scales and mirrored images, `tile` for a sliding window, or `threshold`.

    Returns:
        Integer array of shape `(classes, classes)`, over all samples, without void pixels; for a
        multilabel model, `(classes, 2, 2)`, a matrix of absent and present for each class.

    Raises:
        ValueError: If no image has a mask, all pixels are void, the model's task or number of
            classes differs from the data set's, the model is not functional, a sample violates
            `SegmentationDataset.read`, or the network's outputs are not finite.
    """
    check_returns_map(model, "evaluate_instances")
    _check_classes(model, data)
    if not data.has_masks:
        raise ValueError(
            f"No image of {data!r} has a mask to compare with. Use a split with masks, or "
            "`predict_folder` to write masks of the images."
        )
    if not has_labels(data):
        raise ValueError(
            f"{data!r} has no labels: all its pixels are void, as in a test set whose labels are "
            "kept by a server. There is nothing to score; `write_submission` writes the files for "
            "a server."
        )
    classes = len(data.class_names)
    shape = (classes, 2, 2) if data.task == "multilabel" else (classes, classes)
    total = np.zeros(shape, dtype="int64")
    progress = keras.utils.Progbar(len(data), unit_name="image")
    # The sampler checks samples as in training pipelines, and rejects the same samples.
    sampler = Sampler(data, 1, training=False, augmentation=None, seed=0, cache=False)
    for index in range(len(data)):
        image, mask = sampler.read(0, index)
        found = segment(model, image, keep_probabilities=False, **options).class_map
        cells = mask.astype("int64") * data.labels + found
        if data.task == "multilabel":
            cells += 4 * np.arange(classes)
        cells = cells[mask != data.ignore_class]
        matrix = np.bincount(cells, minlength=total.size).reshape(shape)
        if each is not None:
            each(index, matrix)
        total += matrix
        progress.add(1)
    return total


def _check_classes(model, data):
    task, channels = task_of(model), model.output.shape[-1]
    classes, wanted = count_labels(task, channels), len(data.class_names)
    if classes != wanted:
        count = counted(classes, "class")
        raise ValueError(
            f"Model {model.name!r} has {count}, but the data set has {wanted}. "
            "Pass data with the model's classes, or merge classes with `label_map`."
        )
    if (task == "multilabel") != (data.task == "multilabel"):
        raise ValueError(
            f"Model {model.name!r} is for task={task!r}, but the masks of {data!r} are for "
            f"task={data.task!r}: one label per pixel, or several. Pass data for the model's task."
        )


def evaluate(model, data, folder=None, worst=8, best=0, **options):
    """Returns the scores of a model over all samples of a data set.

    Args:
        model: A network with the classes of the data set.
        data: A `SegmentationDataset`.
        folder: `None`, or the path of a folder, created if needed, for three files: `images.csv`, a
            row per image by increasing mean IoU; `worst.png`, the images of its first rows with
            their masks, predictions and errors; and `confusions.png`, the confusion matrix.
            Defaults to `None`.
        worst: Integer, the number of images in `worst.png`. Defaults to `8`.
        best: Integer, the number of best images to draw in `best.png`. Defaults to `0`, no file.
        **options: Options of `count_confusions`.

    Returns:
        Dict with `"mean_iou"`, `"pixel_accuracy"`, `"iou"` and others, as in
        `keras_segattn.metrics.confusion_scores`.
    """
    images = ImageScores(data.class_names)
    matrix = count_confusions(
        model,
        data,
        each=lambda index, matrix: images.add(index, data.name(index), matrix),
        **options,
    )
    if folder is not None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        images.write(folder / "images.csv")
        plot_confusion_matrix(folder / "confusions.png", matrix, data.class_names)
        for name, chosen in (("worst", images.worst(worst)), ("best", images.best(best))):
            if chosen:
                _draw(model, data, chosen, folder / f"{name}.png", errors=True, **options)
    return confusion_scores(matrix, data.class_names)


def draw_predictions(model, data, path, count=4, **options):
    """Draws some samples of a data set, their masks and a model's predictions to a PNG.

    Args:
        model: A network with the classes of the data set.
        data: A `SegmentationDataset`.
        path: The file.
        count: Integer, the number of samples, evenly spread. Defaults to `4`.
        **options: Options of `keras_segattn.inference.segment`.
    """
    _draw(model, data, evenly_spread(len(data), count), path, **options)


def _draw(model, data, chosen, path, errors=False, **options):
    images, masks = zip(*(data.read(index) for index in chosen), strict=True)
    found = [segment(model, image, **options).class_map for image in images]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    plot_predictions(path, images, masks, found, data.class_names, data.palette, errors)


def print_scores(result):
    """Prints a table of the IoU of each class, the mean, and the pixel accuracy, in percent."""
    width = max(map(len, result["iou"]))
    for name, value in result["iou"].items():
        print(f"  {name:<{width}}", "    -" if value is None else f"{100 * value:5.1f}")
    print(
        f"mean IoU {100 * result['mean_iou']:.1f}, mean F1 {100 * result['mean_f1']:.1f}, "
        f"pixel accuracy {100 * result['pixel_accuracy']:.1f}"
    )
