"""The result of segmenting an image."""

import numpy as np

from keras_segattn.images import default_palette, to_rgb
from keras_segattn.visualization import overlay_mask


class Segmentation:
    """The classes of the pixels of one image, as `segment` returns them.

    Attributes:
        class_map: Array `(height, width)` of class indices: uint8, or int32 above 256 classes.
        probabilities: float32 array `(height, width, classes)`, or `None` where they were not
            kept.
        class_names: Tuple of one name per class, or `None` if the model has none.
        palette: Sequence of one RGB color per class: the model's, or PASCAL VOC's.
        image: The image as an array, in its own dtype.

    Example:

    >>> model = keras_segattn.applications.CANet(classes=2)
    >>> image = np.zeros((40, 50, 3), "uint8")
    >>> result = keras_segattn.inference.segment(model, image)
    >>> result.class_map.shape, result.probabilities.shape, result.overlay().shape
    ((40, 50), (40, 50, 2), (40, 50, 3))
    """

    def __init__(self, image, class_map, probabilities, classes, class_names=None, palette=None):
        self.image = image
        self.class_map = class_map
        self.probabilities = probabilities
        self.class_names = class_names
        self.palette = default_palette(classes) if palette is None else palette

    def overlay(self, alpha=0.6):
        """Draws the classes over the image; returns a uint8 array `(height, width, 3)`.

        Args:
            alpha: Opacity of the classes, from 0 to 1. Defaults to `0.6`.
        """
        return overlay_mask(to_rgb(self.image), self.class_map, self.palette, alpha)

    def shares(self):
        """Returns the share of each class in the pixels, as a dict in order of the classes.

        The keys are the names of the classes, or their indices where the model has no names.
        """
        counts = np.bincount(self.class_map.ravel(), minlength=len(self.palette))
        names = self.class_names or range(len(counts))
        return dict(zip(names, (counts / self.class_map.size).tolist(), strict=True))

    def __repr__(self):
        height, width = self.class_map.shape
        return f"Segmentation({height}x{width}, {len(self.palette)} classes)"
