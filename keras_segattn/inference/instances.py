"""The objects found in an image."""

import numpy as np

from keras_segattn.images import default_palette, to_rgb
from keras_segattn.images.coco_masks import encode_mask


class Instances:
    """The objects in one image, as returned by `segment_instances`, the best first.

    Attributes:
        boxes: float32 array `(objects, 4)`, each `(x1, y1, x2, y2)` in image pixels.
        scores: float32 array `(objects,)` from 0 to 1.
        classes: int32 array `(objects,)`, the index of each class.
        masks: Boolean array `(objects, height, width)`.
        class_names: Tuple of one name per class, or `None` if the model has none.
        image: The image as an array, in its own dtype.

    Example:

    >>> image = np.zeros((40, 50, 3), "uint8")
    >>> found = Instances(image, [[10, 5, 30, 25]], [0.9], [1], np.ones((1, 28, 28)), ("a", "b"))
    >>> found.masks.shape, int(found.masks.sum()), found.overlay().shape
    ((1, 40, 50), 400, (40, 50, 3))
    """

    def __init__(self, image, boxes, scores, classes, probabilities, class_names=None):
        self.image = image
        self.boxes = np.asarray(boxes, "float32").reshape(-1, 4)
        self.scores = np.asarray(scores, "float32")
        self.classes = np.asarray(classes, "int32")
        self.masks = paste_masks(probabilities, self.boxes, np.shape(image)[:2])
        self.class_names = class_names

    def __len__(self):
        return len(self.boxes)

    def overlay(self, alpha=0.6):
        """Draws the objects over the image; returns a uint8 array `(height, width, 3)`.

        Each object has its own color; if masks overlap, the better object is in front.

        Args:
            alpha: Opacity of the masks, from 0 to 1. Defaults to `0.6`.
        """
        picture = to_rgb(self.image).astype("float32")
        colors = np.asarray(default_palette(len(self) + 1)[1:], "float32").reshape(-1, 3)
        for mask, color in reversed(list(zip(self.masks, colors, strict=True))):
            picture[mask] += alpha * (color - picture[mask])
        return np.rint(picture).astype("uint8")

    def to_coco(self, image_id, category_ids=None):
        """Returns the objects in COCO's results format, as a list of dicts.

        Args:
            image_id: Number of the image in the annotation file.
            category_ids: Sequence of the category of each class. Defaults to `None`, the class
                index.

        Raises:
            ImportError: If pycocotools, which encodes the masks, is not installed.
        """
        results = []
        for box, score, label, mask in zip(
            self.boxes, self.scores, self.classes, self.masks, strict=True
        ):
            x1, y1, x2, y2 = map(float, box)
            results.append(
                {
                    "image_id": image_id,
                    "category_id": int(label if category_ids is None else category_ids[label]),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(score),
                    "segmentation": encode_mask(mask),
                }
            )
        return results

    def __repr__(self):
        height, width = np.shape(self.image)[:2]
        return f"Instances({len(self)} objects, {height}x{width})"


def paste_masks(probabilities, boxes, size):
    """Returns the masks of boxes in the whole image, with a threshold of 0.5.

    Args:
        probabilities: Array `(objects, n, n)` from 0 to 1 inside each box.
        boxes: Array `(objects, 4)`, boxes `(x1, y1, x2, y2)` in pixels.
        size: Tuple `(height, width)` of the image.
    """
    height, width = size
    masks = np.zeros((len(boxes), height, width), bool)
    for mask, values, (x1, y1, x2, y2) in zip(masks, probabilities, boxes, strict=True):
        # The pixels whose centers lie in the box.
        top, bottom = _inside(y1, y2, height)
        left, right = _inside(x1, x2, width)
        if bottom > top and right > left:
            rows = _interpolation(np.arange(top, bottom), y1, y2, len(values))
            columns = _interpolation(np.arange(left, right), x1, x2, len(values))
            mask[top:bottom, left:right] = rows @ values @ columns.T >= 0.5
    return masks


def _inside(start, end, length):
    first, last = np.ceil(np.array([start, end]) - 0.5)
    return int(np.clip(first, 0, length)), int(np.clip(last, 0, length))


def _interpolation(pixels, start, end, count):
    """Returns the matrix that interpolates values along a box side at pixel centers."""
    position = np.clip((pixels + 0.5 - start) / (end - start) * count - 0.5, 0, count - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(count)))
