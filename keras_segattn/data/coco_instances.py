"""Objects annotated in COCO format."""

import json
from pathlib import Path

import numpy as np

from keras_segattn.data.coco_json import check_images, coco_region
from keras_segattn.data.instance_dataset import InstanceDataset
from keras_segattn.data.regions import draw_region
from keras_segattn.images import read_image, to_uint8

# An object less than a pixel wide or high cannot be detected.
LEAST_SIDE = 1.0


class COCOInstances(InstanceDataset):
    """Images and their objects, from a JSON file in COCO's instances format.

    Masks are polygons or run-length encodings in either form. Crowd annotations are skipped, and so
    are objects whose box is less than a pixel wide or high inside the image, or whose mask has no
    pixel there. Classes are numbered in the order of the category ids; `category_ids` contains
    these ids.

    Args:
        annotations: Path of the JSON file.
        images: Folder to which the image file names are relative.

    Raises:
        FileNotFoundError: If the file or an image is missing.
        ValueError: If the file is not in COCO format, or an annotation names an image or category
            that is not in the file. Polygons require the extra `coco`.

    Example:

    ```python
    data = keras_segattn.data.COCOInstances("annotations/instances_train2017.json", "train2017")
    faults = data.verify()  # names each annotation that cannot be drawn
    batches = data.to_py_dataset(2, training=True, short_side=800, long_side=1333)
    ```

    Reference:
        "Microsoft COCO: Common Objects in Context" (Lin et al., 2014).
    """

    def __init__(self, annotations, images):
        path = Path(annotations)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            categories = {entry["id"]: entry["name"] for entry in content["categories"]}
            entries = sorted(content["images"], key=lambda entry: entry["id"])
            self._image_ids = tuple(entry["id"] for entry in entries)
            self._sizes = [(int(entry["height"]), int(entry["width"])) for entry in entries]
            self._paths = [Path(images) / entry["file_name"] for entry in entries]
            objects = list(content["annotations"])
            found = [(a["id"], a["image_id"], a["category_id"], a["bbox"]) for a in objects]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not a COCO JSON file of instances, with images, annotations and "
                f"categories: {type(error).__name__} {error}"
            ) from error
        self._path = path
        check_images([(image,) for image in self._paths])
        self._category_ids = tuple(sorted(categories))
        self.class_names = tuple(categories[number] for number in self.category_ids)
        places = {number: i for i, number in enumerate(self.image_ids)}
        labels = {number: i for i, number in enumerate(self.category_ids)}
        self._objects = [[] for _ in self._image_ids]
        for annotation, (number, image, category, box) in zip(objects, found, strict=True):
            where = f"{path}, annotation {number}"
            for key, value, known in (("image", image, places), ("category", category, labels)):
                if value not in known:
                    raise ValueError(f"{where}: there is no {key}_id {value!r}.")
            where += f" of {self._paths[places[image]].name}"
            if not annotation.get("iscrowd"):
                segmentation = annotation.get("segmentation")
                self._objects[places[image]].append((labels[category], box, segmentation, where))

    def __len__(self):
        return len(self.image_ids)

    @property
    def image_ids(self):
        return self._image_ids

    @property
    def category_ids(self):
        return self._category_ids

    def name(self, index):
        return self._paths[index].stem

    def files(self, index):
        return (self._paths[index],)

    def size(self, index):
        return self._sizes[index]

    def read(self, index):
        size = self._sizes[index]
        image = to_uint8(read_image(self._paths[index]), 3)
        if image.shape[:2] != size:
            raise ValueError(
                f"{self._paths[index]} is {image.shape[0]}x{image.shape[1]} (height x width), but "
                f"{size[0]}x{size[1]} in the annotations."
            )
        boxes, classes, masks = [], [], []
        for entry in self._objects[index]:
            box, mask = _box_and_mask(entry, size)
            if (box[2:] - box[:2] >= LEAST_SIDE).all() and mask.any():
                boxes.append(box)
                classes.append(entry[0])
                masks.append(mask)
        return image, {
            "boxes": np.array(boxes, "float32").reshape(-1, 4),
            "classes": np.array(classes, "int64"),
            "masks": np.array(masks, bool).reshape(-1, *size),
        }

    def to_coco(self):
        """Returns the content of the annotation file, including crowds."""
        content = json.loads(self._path.read_text(encoding="utf-8"))
        for annotation in content["annotations"]:
            # Other programs omit these keys.
            annotation.setdefault("iscrowd", 0)
            annotation.setdefault("area", annotation["bbox"][2] * annotation["bbox"][3])
        return content

    def verify(self):
        """Returns the faults of the annotations and images, as a list of messages."""
        faults = []
        for index, entries in enumerate(self._objects):
            for entry in entries:
                try:
                    _box_and_mask(entry, self._sizes[index])
                except ValueError as error:
                    faults.append(str(error))
            try:
                # Its annotations have already been checked one by one.
                shape = read_image(self._paths[index]).shape[:2]
                if shape != self._sizes[index]:
                    faults.append(
                        f"{self._paths[index]} has the size {shape}, but {self._sizes[index]} in "
                        "the annotations."
                    )
            except (ValueError, OSError) as error:
                faults.append(f"{self._paths[index]}: {error}")
        return faults


def _box_and_mask(entry, size):
    """Returns the box of an object inside the image, and its pixels."""
    label, box, segmentation, where = entry
    mask = draw_region(coco_region(label, segmentation, where, size), size)
    try:
        x, y, width, height = np.asarray(box, "float64")
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: `bbox` must be x, y, width, height. Received: {box}") from error
    box = np.array([x, y, x + width, y + height])
    if not np.isfinite(box).all() or width < 0 or height < 0:
        raise ValueError(f"{where}: `bbox` must be x, y, width, height. Received: {entry[1]}")
    return np.clip(box, 0, [size[1], size[0]] * 2), mask
