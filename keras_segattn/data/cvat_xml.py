"""CVAT annotations: the XML file of "CVAT for images"."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from keras_segattn.data.annotated_images import AnnotatedImages
from keras_segattn.data.coco_json import check_images
from keras_segattn.data.regions import Region


class CVATImages(AnnotatedImages):
    """Images annotated with CVAT, in the format "CVAT for images 1.1".

    Polygons, boxes and ellipses without rotation, and masks are drawn by `z_order`, and with equal
    `z_order` in file order. Shapes that cover no pixels, such as points and lines, are faults
    unless `label_map` skips their label.

    Args:
        annotations: Path of the XML file.
        images: Folder to which the image names are relative.
        **kwargs: `class_names`, `label_map`, `background`, `task`, `palette`, `channels` and
            `value_range`, as for `AnnotatedImages`. Without `class_names`, the classes are the
            labels of the project, or of the annotations in alphabetical order.

    Raises:
        FileNotFoundError: If the file or an image is missing.
        ValueError: If the file is not a CVAT file, or an argument does not fit.

    Example:

    ```python
    data = keras_segattn.data.CVATImages("annotations.xml", "images", task="multilabel")
    ```
    """

    def __init__(self, annotations, images, **kwargs):
        path = Path(annotations)
        try:
            root = ElementTree.parse(path).getroot()
            entries = list(root.iter("image"))
            self._sizes = [(int(e.attrib["height"]), int(e.attrib["width"])) for e in entries]
            names = [entry.attrib["name"] for entry in entries]
            shapes = [[s for s in entry if "label" in s.attrib] for entry in entries]
        except (ElementTree.ParseError, KeyError, ValueError) as error:
            raise ValueError(
                f"{path} is not a file of CVAT for images: {type(error).__name__} {error}"
            ) from error
        samples = [(Path(images) / name, path) for name in names]
        check_images(samples)
        self._shapes = [
            sorted(of_image, key=lambda shape: int(shape.get("z_order", 0))) for of_image in shapes
        ]
        labels = [label.text for label in root.iterfind(".//labels/label/name")]
        used = sorted({shape.get("label") for of_image in shapes for shape in of_image})
        super().__init__(samples, labels or used, **kwargs)

    def regions(self, index, size):
        del size
        image, path = self._samples[index]
        where = f"{path}, {image.name}"
        shapes = enumerate(self._shapes[index])
        return [_region(shape, f"{where}, shape {i}") for i, shape in shapes], self._sizes[index]


def _region(shape, where):
    label, kind, get = shape.get("label"), shape.tag, shape.attrib.__getitem__
    where = f"{where} ({kind} {label})"
    try:
        if float(shape.get("rotation", 0)):
            raise ValueError("it is rotated, which is not supported: make it a polygon")
        if kind == "polygon":
            points = [tuple(map(float, point.split(","))) for point in get("points").split(";")]
            return Region(label, "polygons", [points], where)
        if kind == "box":
            left, top, right, bottom = (float(get(key)) for key in ("xtl", "ytl", "xbr", "ybr"))
            return Region(label, "box", [(left, top), (right, bottom)], where)
        if kind == "ellipse":
            return Region(label, kind, [float(get(key)) for key in ("cx", "cy", "rx", "ry")], where)
        if kind == "mask":
            left, top, width, height = (int(get(k)) for k in ("left", "top", "width", "height"))
            counts = np.array(get("rle").split(","), dtype="int64")
            if (counts < 0).any() or counts.sum() != width * height:
                raise ValueError(f"its runs do not make up {height}x{width} pixels")
            pixels = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
            return Region(label, kind, (left, top, pixels), where)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error
    return Region(label, kind, None, where)
