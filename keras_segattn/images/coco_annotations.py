"""The regions of class maps as COCO annotations."""

import json

import numpy as np

from keras_segattn.atomic_files import atomic_path
from keras_segattn.images.geojson import to_geometry
from keras_segattn.images.polygons import chosen_labels, labels_of, trace_polygons


def to_coco(class_map, class_names=None, *, image_id, classes=None, simplify=0.0):
    """Returns the regions of a class map as COCO annotations, a list of dicts.

    Each region is one annotation; its category is the label. A region without holes becomes a
    polygon, with coordinates as in `trace_polygons`. COCO polygons cannot have holes, so a region
    with holes becomes run lengths. `keras_segattn.data.COCOJSON` and pycocotools read both.
    `write_coco` writes a whole file.

    Args:
        class_map: Array, as for `trace_polygons`.
        class_names: Sequence of one name per class; `classes` may then contain names. Defaults to
            `None`.
        image_id: Number of the image in the annotation file.
        classes: Collection of the labels or names to trace. Defaults to `None`: all except void and
            a class named `"background"`.
        simplify: Float, as for `trace_polygons`. Defaults to `0`.

    Example:

    >>> (annotation,) = to_coco(np.ones((2, 3), "uint8"), image_id=7)
    >>> annotation["bbox"], annotation["area"], annotation["category_id"]
    ([0.0, 0.0, 3.0, 2.0], 6.0, 1)
    """
    labels = chosen_labels(class_map, class_names, classes)
    size = class_map.shape[:2]
    return [
        _annotation(polygon, image_id, size)
        for polygon in trace_polygons(class_map, labels, simplify)
    ]


def write_coco(path, images, class_names, *, classes=None, simplify=0.0):
    """Writes the class maps of many images as one COCO JSON file, atomically.

    Args:
        path: Path of the file.
        images: Iterable of pairs of an image's file name and its class map. Only one map is in
            memory at a time.
        class_names: Sequence of one name per class; these become the category names.
        classes: Collection of the labels or names to trace, as for `to_coco`. Defaults to `None`.
        simplify: Float, as for `trace_polygons`. Defaults to `0`.

    Example:

    ```python
    results = segment(model, ["a.jpg", "b.jpg"])
    maps = [result.class_map for result in results]
    write_coco("regions.json", zip(["a.jpg", "b.jpg"], maps), model.class_names)
    ```
    """
    entries, annotations = [], []
    for number, (name, class_map) in enumerate(images, start=1):
        height, width = class_map.shape[:2]
        entries.append({"id": number, "file_name": str(name), "height": height, "width": width})
        for annotation in to_coco(
            class_map, class_names, image_id=number, classes=classes, simplify=simplify
        ):
            annotations.append({"id": len(annotations) + 1, **annotation})
    labels = labels_of(class_names, len(class_names), classes)
    categories = [{"id": label, "name": class_names[label]} for label in labels]
    content = {"images": entries, "categories": categories, "annotations": annotations}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _annotation(polygon, image_id, size):
    outline = polygon.rings[0]
    left, top = outline.min(axis=0).tolist()
    right, bottom = outline.max(axis=0).tolist()
    if len(polygon.rings) == 1:
        segmentation = [outline[:-1].ravel().tolist()]
    else:
        segmentation = {"size": list(size), "counts": _run_lengths(polygon.rings, size)}
    return {
        "image_id": image_id,
        "category_id": polygon.label,
        "segmentation": segmentation,
        "area": abs(_area(outline)) - sum(abs(_area(hole)) for hole in polygon.rings[1:]),
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": 0,
    }


def _area(ring):
    """Returns the area of a closed ring by the shoelace formula; the sign gives its direction."""
    x, y = ring.T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def _run_lengths(rings, size):
    """Returns COCO's run lengths: column by column, alternating, background first."""
    from rasterio import features

    height, width = size
    first, last = int(rings[0][:, 0].min()), int(np.ceil(rings[0][:, 0].max()))
    shifted = [ring - [first, 0] for ring in rings]
    columns = features.rasterize([(to_geometry(shifted), 1)], (height, last - first), dtype="uint8")
    inside = np.concatenate([[0], columns.T.ravel(), [0]])
    ends = np.flatnonzero(np.diff(inside)) + first * height
    counts = np.diff([0, *ends.tolist(), height * width]).tolist()
    return counts[:-1] if counts[-1] == 0 else counts
