"""LabelMe annotations: one JSON file per image."""

import base64
import json
from pathlib import Path, PureWindowsPath

import numpy as np

from keras_segattn.data.annotated_images import AnnotatedImages
from keras_segattn.data.coco_json import check_images
from keras_segattn.data.regions import Region
from keras_segattn.images.masks import read_labels

# LabelMe stores rectangles and circles as two points.
KINDS = {"polygon": "polygons", "rectangle": "box", "circle": "ellipse", "mask": "mask"}


class LabelMe(AnnotatedImages):
    """Images annotated with LabelMe: polygons, rectangles, circles and masks.

    Regions are drawn in file order, as in LabelMe. Lines and points cover no pixels and are faults
    unless `label_map` skips them.

    Args:
        folder: Folder of the JSON files, searched with its subfolders. The files name their images.
        **kwargs: `class_names`, `label_map`, `background`, `task`, `palette`, `channels` and
            `value_range`, as for `AnnotatedImages`. Without `class_names`, the classes are all
            labels in alphabetical order.

    Raises:
        FileNotFoundError: If there are no JSON files, or an image is missing.
        ValueError: If a file is not a LabelMe file, or an argument does not fit.

    Example:

    ```python
    data = keras_segattn.data.LabelMe("photos", class_names=["leaf", "stem"])
    data.class_names  # ("background", "leaf", "stem")
    ```
    """

    def __init__(self, folder, **kwargs):
        paths = sorted(path for path in Path(folder).rglob("*.json") if path.name[0] != ".")
        if not paths:
            raise FileNotFoundError(f"{folder} contains no JSON files of LabelMe.")
        samples, labels = [], set()
        for path in paths:
            content = _read(path)
            # Files written on Windows have backslashes.
            image = PureWindowsPath(content["imagePath"]).as_posix()
            samples.append((path.parent / image, path))
            labels.update(shape["label"] for shape in content["shapes"])
        check_images(samples)
        super().__init__(samples, sorted(labels), **kwargs)

    def regions(self, index, size):
        del size
        path = self._samples[index][1]
        content = _read(path)
        shapes = enumerate(content["shapes"])
        size = content["imageHeight"], content["imageWidth"]
        return [_region(shape, f"{path}, shape {i}") for i, shape in shapes], size


def _read(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        image, shapes = content["imagePath"], content["shapes"]
        sizes = content["imageHeight"], content["imageWidth"]
        if not isinstance(image, str) or not all(isinstance(size, int) for size in sizes):
            raise TypeError("imagePath, imageHeight or imageWidth is of another type")
        for number, shape in enumerate(shapes):
            if not {"label", "points"} <= shape.keys():
                raise KeyError(f"shape {number} has no label or no points")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a LabelMe file: {type(error).__name__} {error}") from error
    return content


def _region(shape, where):
    where = f"{where} ({shape['label']})"
    kind = shape.get("shape_type") or "polygon"
    points = shape["points"]
    try:
        if kind == "polygon":
            points = [points]
        elif kind == "circle":
            (x, y), (edge_x, edge_y) = points
            radius = np.hypot(edge_x - x, edge_y - y)
            points = x, y, radius, radius
        elif kind == "mask":
            (left, top), _ = points
            pixels = read_labels(base64.b64decode(shape["mask"])).pixels > 0
            points = round(left), round(top), pixels
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{where}: {error}") from error
    return Region(shape["label"], KINDS.get(kind, kind), points, where)
