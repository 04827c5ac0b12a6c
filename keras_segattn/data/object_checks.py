"""Checks the objects of an image before training."""

import numpy as np

PARTS = ("boxes", "classes", "masks")


def check_objects(dataset, index, image, objects):
    """Raises a ValueError if the objects of an image violate `InstanceDataset.read`.

    Boxes without area and boxes beyond the image are allowed: training ignores boxes without area.

    Args:
        dataset: An `InstanceDataset`.
        index: Integer, the index of the image.
        image: The image that was read.
        objects: The dict of its objects.
    """
    where = f"{dataset!r}, image {index}, {dataset.name(index)!r}"
    missing = [key for key in PARTS if key not in objects]
    if missing:
        raise ValueError(f"{where}: its objects have no {missing}. Received: {sorted(objects)}")
    boxes, classes, masks = (np.asarray(objects[key]) for key in PARTS)
    count = len(classes)
    wanted = {"boxes": (count, 4), "classes": (count,), "masks": (count, *image.shape[:2])}
    for key, value in zip(PARTS, (boxes, classes, masks), strict=True):
        if value.shape != wanted[key]:
            raise ValueError(
                f"{where}: `{key}` of {count} objects must have the shape {wanted[key]}. Received: "
                f"{value.shape}"
            )
    if not np.isfinite(boxes).all():
        raise ValueError(f"{where}: its boxes must be finite. Received: {boxes.tolist()}")
    reversed_ = (boxes[:, :2] > boxes[:, 2:]).any(axis=1)
    if reversed_.any():
        box = boxes[reversed_.argmax()].tolist()
        raise ValueError(
            f"{where}: a box must be (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2. Received: {box}"
        )
    number = len(dataset.class_names)
    wrong = (classes < 0) | (classes >= number)
    if wrong.any():
        raise ValueError(
            f"{where}: classes must be from 0 to {number - 1}. Received: {classes[wrong.argmax()]}"
        )
