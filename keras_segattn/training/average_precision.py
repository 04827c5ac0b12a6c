"""Average precision of instance segmentation, computed by pycocotools."""

import contextlib
import copy
import io

import keras
import numpy as np

from keras_segattn.inference import segment_instances
from keras_segattn.inference.instance_prediction import check_finds_objects

KINDS = {"box": "bbox", "mask": "segm"}
# The first entries of `COCOeval.stats`.
SCORES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


def check_judge():
    """Raises an ImportError that names the extra if pycocotools is not installed."""
    try:
        import pycocotools.cocoeval  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "pycocotools computes average precision: pip install 'keras-segattn[coco]'"
        ) from error


def evaluate_instances(model, data, *, short_side=None, long_side=None, truth=None):
    """Returns COCO's average precision of a network over all images of a data set.

    All objects returned by the network count. The network returns only objects above its own
    `score_threshold`.

    Args:
        model: A `keras_segattn.applications.InstanceSegmentationModel`.
        data: A `keras_segattn.data.InstanceDataset` with the classes of the model. For
            `COCOInstances`, the ground truth is the annotation file itself, including crowds.
        short_side: Integer, as for `segment_instances`: 800 for a model trained on COCO. Defaults
            to `None`.
        long_side: Integer, likewise: 1333 for COCO. Defaults to `None`.
        truth: Result of `data.to_coco()`, to avoid computing it again. Defaults to `None`.

    Returns:
        Dict with the keys `"box"` and `"mask"`. Each is a dict of `"ap"`, the mean over the
        overlaps 0.5, 0.55 up to 0.95, `"ap50"`, `"ap75"`, `"ap_small"`, `"ap_medium"`,
        `"ap_large"`, and `"classes"`, the average precision of each class by its name; from 0 to 1,
        or `None` without objects.

    Raises:
        ImportError: If pycocotools is not installed.
        ValueError: If the model is not an `InstanceSegmentationModel`, or has another number of
            classes than the data set.

    Example:

    ```python
    data = COCOInstances("annotations/instances_val2017.json", "val2017")
    evaluate_instances(model, data, short_side=800, long_side=1333)["mask"]["ap"]
    ```
    """
    check_finds_objects(model)
    check_judge()
    if model.classes != len(data.class_names):
        raise ValueError(
            f"Model {model.name!r} has {model.classes} classes, but the data set has "
            f"{len(data.class_names)}: {list(data.class_names)}. Pass data with the model's "
            "classes."
        )
    results = []
    progress = keras.utils.Progbar(len(data), unit_name="image")
    sides = {"short_side": short_side, "long_side": long_side}
    for index, image_id in enumerate(data.image_ids):
        image, _ = data.read(index)
        found = segment_instances(model, image, score_threshold=0, **sides)
        results += found.to_coco(image_id, data.category_ids)
        progress.add(1)
    return average_precision(data.to_coco() if truth is None else truth, results, data.class_names)


def average_precision(truth, results, class_names):
    """Returns the scores of `evaluate_instances`.

    Args:
        truth: Dict in COCO format. It is not changed.
        results: List of dicts in COCO's results format.
        class_names: Sequence of class names, in the order of the category ids.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    scores = {}
    # COCOeval prints.
    with contextlib.redirect_stdout(io.StringIO()):
        for kind, name in KINDS.items():
            judge = COCO()
            # COCO writes into both dicts.
            judge.dataset = copy.deepcopy(truth)
            judge.createIndex()
            # COCO infers the kind of results from the first one, so it needs at least one.
            found = judge.loadRes(copy.deepcopy(results)) if results else _nothing(judge)
            evaluation = COCOeval(judge, found, name)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            numbers = map(_known, evaluation.stats)
            scores[kind] = dict(zip(SCORES, numbers, strict=False))
            scores[kind]["classes"] = _of_classes(evaluation, class_names)
    return scores


def _nothing(judge):
    from pycocotools.coco import COCO

    found = COCO()
    found.dataset = {**judge.dataset, "annotations": []}
    found.createIndex()
    return found


def _of_classes(evaluation, class_names):
    # (overlaps, recalls, classes, areas, counts), for all areas and 100 objects per image.
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    known = np.where(precision > -1, precision, np.nan)
    return {
        name: None if np.isnan(known[:, :, i]).all() else float(np.nanmean(known[:, :, i]))
        for i, name in enumerate(class_names)
    }


def _known(score):
    return None if score < 0 else float(score)
