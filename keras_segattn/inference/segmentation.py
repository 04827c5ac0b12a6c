"""The result of segmenting an image."""

import numpy as np

from keras_segattn.images import default_palette, pack_labels, to_coco, to_geojson, to_rgb
from keras_segattn.images.label_bits import palette_of_bits
from keras_segattn.visualization import overlay_mask
from keras_segattn.wording import counted


class Segmentation:
    """The classes of the pixels of one image, as returned by `segment`.

    Attributes:
        class_map: Array `(height, width)` of class indices: uint8, or int32 above 256 classes. For
            a binary model, 1 is the foreground. For a multilabel model, an array
            `(height, width, classes)` of 0 and 1.
        probabilities: float32 array `(height, width, classes)`, or `None` if they were not kept. A
            binary model has one channel, the foreground.
        class_names: Tuple of one name per class, or `None` if the model has none.
        palette: Sequence of one RGB color per class: the model's, or PASCAL VOC's.
        image: The image as an array, in its own dtype.
        task: `"multiclass"`, `"binary"` or `"multilabel"`.
        value_range: The image values that the network sees as 0 and 255, or `None`.

    Example:

    >>> model = keras_segattn.applications.CANet(classes=2)
    >>> image = np.zeros((40, 50, 3), "uint8")
    >>> result = keras_segattn.inference.segment(model, image)
    >>> result.class_map.shape, result.probabilities.shape, result.overlay().shape
    ((40, 50), (40, 50, 2), (40, 50, 3))
    """

    def __init__(
        self,
        image,
        class_map,
        probabilities,
        classes,
        class_names=None,
        palette=None,
        task="multiclass",
        value_range=None,
    ):
        self.image = image
        self.value_range = value_range
        self.class_map = class_map
        self.probabilities = probabilities
        self.class_names = class_names
        self.task = task
        if palette is None:
            # Each label of a pixel is drawn, and black would be invisible.
            palette = (
                default_palette(classes + 1)[1:]
                if task == "multilabel"
                else default_palette(classes)
            )
        self.palette = palette

    def overlay(self, alpha=0.6):
        """Draws the classes over the image; returns a uint8 array `(height, width, 3)`.

        For a binary model, the background shows the image. A pixel with several labels gets the
        mean of their colors.

        Args:
            alpha: Opacity of the classes, from 0 to 1. Defaults to `0.6`.
        """
        class_map, palette = self.class_map, self.palette
        if self.task == "binary":
            class_map, palette = class_map[..., None], palette[1:]
        return overlay_mask(to_rgb(self.image, self.value_range), class_map, palette, alpha)

    def label_image(self, colors=True):
        """Returns the labels as a `PIL.Image.Image`, to save as a PNG file.

        Its pixels are the labels, in 8 bits, or in 16 bits above 256 classes. For a multilabel
        model, a pixel is the sum of `2**i` over its labels `i`, in 16 bits above 8 classes;
        `keras_segattn.images.unpack_labels` separates the labels.

        Args:
            colors: Boolean, whether an 8-bit image has the palette. Without it, every program reads
                the labels as gray values. Defaults to `True`.

        Raises:
            ValueError: If a multilabel model has more than 16 classes.
        """
        from PIL import Image

        pixels, palette = self.class_map, self.palette
        if self.task == "multilabel":
            pixels = pack_labels(pixels)
            palette = palette_of_bits(palette) if len(palette) <= 8 else None
        image = Image.fromarray(pixels.astype("uint16") if pixels.dtype == "int32" else pixels)
        if colors and pixels.dtype == "uint8":
            image.putpalette(np.array(palette, dtype="uint8").tobytes())
        return image

    def to_geojson(self, classes=None, simplify=0.0):
        """Returns the regions as GeoJSON; see `keras_segattn.images.to_geojson`.

        Args:
            classes: Collection of the labels or names to trace. Defaults to `None`: all except the
                background.
            simplify: Float, the simplification of outlines, in pixels. Defaults to `0`.
        """
        options = {"classes": self._traced(classes), "simplify": simplify}
        return to_geojson(self.class_map, self.class_names, **options)

    def to_coco(self, image_id, classes=None, simplify=0.0):
        """Returns the regions as COCO annotations; see `keras_segattn.images.to_coco`.

        Args:
            image_id: Number of the image in the annotation file.
            classes: Collection of the labels or names to trace. Defaults to `None`: all except the
                background.
            simplify: Float, the simplification of outlines, in pixels. Defaults to `0`.
        """
        options = {"classes": self._traced(classes), "simplify": simplify}
        return to_coco(self.class_map, self.class_names, image_id=image_id, **options)

    def _traced(self, classes):
        return [1] if classes is None and self.task == "binary" else classes

    def shares(self):
        """Returns the share of pixels of each class, as a dict in class order.

        Shares of a multilabel model overlap and do not add up to 1.

        The keys are the class names, or the class indices if the model has no names.
        """
        if self.task == "multilabel":
            counts = self.class_map.sum(axis=(0, 1))
        else:
            counts = np.bincount(self.class_map.ravel(), minlength=len(self.palette))
        height, width = self.class_map.shape[:2]
        names = self.class_names or range(len(counts))
        return dict(zip(names, (counts / (height * width)).tolist(), strict=True))

    def __repr__(self):
        height, width = self.class_map.shape[:2]
        task = "" if self.task == "multiclass" else f", {self.task}"
        return f"Segmentation({height}x{width}, {counted(len(self.palette), 'class')}{task})"
