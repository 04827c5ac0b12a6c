"""Polygons of the masks in a results folder."""

import json

import numpy as np

from keras_segattn.arguments import check_choice
from keras_segattn.atomic_files import atomic_path
from keras_segattn.images import to_geojson, unpack_labels, write_coco
from keras_segattn.images.polygons import labels_of
from keras_segattn.inference.mask_files import COCO_FILE
from keras_segattn.task import name_classes

POLYGONS = ("geojson", "coco")


def write_polygons(
    format, pairs, results, class_names, task="multiclass", classes=None, simplify=0.0
):
    """Writes the regions of the masks in a folder as polygons.

    Masks are read from their files, so they may come from any run and any number of processes.
    Images without a mask are skipped.

    Args:
        format: `"geojson"` for a file beside each mask, `street.jpg.geojson` beside
            `street.jpg.png`; or `"coco"` for one file `annotations.coco.json` in the folder, whose
            file names are relative to the folder of the images.
        pairs: List of pairs of an image and its mask, as returned by `pair_files`.
        results: Path of the folder of the masks.
        class_names: Sequence of one name per class; for a binary model, the foreground's is enough.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `"multiclass"`.
        classes: Collection of the labels or names to trace. Defaults to `None`: all except the
            background.
        simplify: Float, the simplification of outlines, in pixels. Defaults to `0`.

    Returns:
        List of the written paths.

    Raises:
        ImportError: If rasterio is not installed, or shapely with `simplify`.
        ValueError: If `format` or `classes` has a value not listed above.
    """
    check_choice("polygons", format, POLYGONS)
    class_names = name_classes(tuple(class_names), task)
    if classes is None and task == "binary":
        classes = [1]
    options = {
        "classes": labels_of(class_names, len(class_names), classes),
        "simplify": simplify,
    }
    masks = [mask for _, mask in pairs if mask.exists()]
    if format == "coco":
        names = [mask.relative_to(results).with_suffix("").as_posix() for mask in masks]
        maps = (read_classes(mask, class_names, task) for mask in masks)
        images = zip(names, maps, strict=True)
        write_coco(results / COCO_FILE, images, class_names, **options)
        return [results / COCO_FILE]
    paths = []
    for mask in masks:
        found = to_geojson(read_classes(mask, class_names, task), class_names, **options)
        path = mask.with_suffix(".geojson")
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(found) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def read_classes(mask, class_names, task):
    """Returns the class map of a mask file written from `Segmentation.label_image`."""
    from PIL import Image

    with Image.open(mask) as image:
        pixels = np.asarray(image)
    return unpack_labels(pixels, len(class_names)) if task == "multilabel" else pixels
