"""Generated shapes, to train instance segmentation without downloads."""

import numpy as np

from keras_segattn.arguments import check_choice
from keras_segattn.data.camvid import SPLITS
from keras_segattn.data.instance_dataset import InstanceDataset

# Objects with a smaller visible fraction are dropped.
LEAST_VISIBLE = 0.25


class DrawnShapes(InstanceDataset):
    """Drawn, overlapping discs, boxes and triangles, determined by the seed.

    Each image has one to five shapes of random size, position and color on a random background,
    with noise. A later shape hides earlier ones: masks and boxes cover the visible parts, and a
    shape with less than a quarter visible is dropped. The data is easy to learn and does not
    replace real images.

    Args:
        split: `"train"`, `"val"` or `"test"`; the splits differ in every image.
        count: Integer, the number of images. Defaults to `64`.
        size: Tuple `(height, width)`. Defaults to `(128, 128)`.
        seed: Integer. Defaults to `0`.

    Raises:
        ValueError: If `split` is unknown, or `count` or `size` is too small.

    Example:

    >>> image, objects = DrawnShapes("train", count=4).read(0)
    >>> image.shape, sorted(objects), objects["masks"].shape[1:]
    ((128, 128, 3), ['boxes', 'classes', 'masks'], (128, 128))
    """

    class_names = ("disc", "box", "triangle")

    def __init__(self, split, count=64, size=(128, 128), seed=0):
        check_choice("split", split, SPLITS)
        if count < 1 or min(size) < 32:
            raise ValueError(
                "`count` must be at least 1 and both sides of `size` at least 32. Received: "
                f"count={count}, size={size}"
            )
        self._split = split
        self.count = count
        self._size = tuple(size)
        self.seed = seed

    def __len__(self):
        return self.count

    def name(self, index):
        return f"{self._split}_{index:05d}"

    def size(self, index):
        return self._size

    def read(self, index):
        if not 0 <= index < self.count:
            raise IndexError(f"There are {self.count} images. Received: index={index}")
        rng = np.random.default_rng((self.seed, SPLITS.index(self._split), index))
        image = np.broadcast_to(rng.uniform(0, 255, 3), (*self._size, 3)).copy()
        masks, areas, classes = [], [], []
        for _ in range(rng.integers(1, 6)):
            label = int(rng.integers(len(self.class_names)))
            shape = _draw(self.class_names[label], self._size, rng)
            image[shape] = rng.uniform(0, 255, 3)
            masks = [mask & ~shape for mask in masks] + [shape]
            areas.append(shape.sum())
            classes.append(label)
        image = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype("uint8")
        visible = [
            i
            for i, (mask, area) in enumerate(zip(masks, areas, strict=True))
            if mask.sum() > LEAST_VISIBLE * area
        ]
        return image, {
            "boxes": np.array([_box(masks[i]) for i in visible], "float32"),
            "classes": np.array([classes[i] for i in visible]),
            "masks": np.array([masks[i] for i in visible]),
        }


def _draw(kind, size, rng):
    """Returns the pixels of one shape, which lies fully inside the image."""
    height, width = size
    radius = rng.uniform(0.08, 0.25) * min(size)
    y, x = np.mgrid[:height, :width] + 0.5
    y = y - rng.uniform(radius, height - radius)
    x = x - rng.uniform(radius, width - radius)
    if kind == "disc":
        return x**2 + y**2 <= radius**2
    if kind == "box":
        high, wide = rng.uniform(0.5, 1, 2) * radius
        return (abs(y) <= high) & (abs(x) <= wide)
    # Bounded by three lines, each half a radius from the center.
    angles = rng.uniform(0, 2 * np.pi) + np.arange(3) * 2 * np.pi / 3
    return np.all([x * np.cos(a) + y * np.sin(a) <= radius / 2 for a in angles], axis=0)


def _box(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
