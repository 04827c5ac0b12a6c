"""Base class for sources of pixel classes: Keras models and exported artifacts."""

from numbers import Integral

import numpy as np

from keras_segattn.arguments import LEAST_SIDE
from keras_segattn.images import to_pixels
from keras_segattn.inference.segmentation import Segmentation
from keras_segattn.inference.sliding_window import blended_bands
from keras_segattn.task import choose_classes, count_labels


class Segmenter:
    """Pixel probabilities and classes. Subclasses define the attributes and `probabilities`.

    This module imports neither Keras nor a backend.

    Attributes:
        channels: Integer, the number of image channels.
        outputs: Integer, the number of outputs per pixel.
        sides: Tuple of the required height and width of images, `None` for any.
        task: `"multiclass"`, `"binary"` or `"multilabel"`.
        threshold: Float or tuple, as returned by `check_threshold`.
        class_names: Sequence of one name per class, or `None`.
        palette: Sequence of one color per class, or `None`.
        value_range: The image values that become 0 and 255, or `None`.
    """

    def probabilities(self, pixels, timeout=None):
        """Returns the probabilities `(count, height, width, outputs)` of pixels, as a NumPy array.

        Args:
            pixels: float32 array `(count, height, width, channels)` from 0 to 255.
            timeout: Float, seconds after which the computation is aborted, or `None`.
        """
        raise NotImplementedError

    def to_pixels(self, image):
        """Converts an image to input for `probabilities`, without the first axis."""
        return to_pixels(image, self.channels, self.value_range)

    def window(self, tile):
        """Returns the window `(height, width)` for the argument `tile`, one or two sides.

        Raises:
            ValueError: If a side is below 32 pixels, or differs from the model's fixed size.
        """
        window = (tile, tile) if isinstance(tile, Integral) else tuple(tile)
        if len(window) != 2 or min(window) < LEAST_SIDE:
            raise ValueError(
                f"`tile` must be a side or (height, width) from {LEAST_SIDE} up. Received: {tile}"
            )
        if any(side not in (None, given) for side, given in zip(self.sides, window, strict=True)):
            raise ValueError(
                f"The model accepts only windows of {tuple(self.sides)}. Received: tile={tile}"
            )
        return window

    def bands(self, read, size, window, overlap, batch_size=1, timeout=None):
        """Slides a window over an image and yields bands of probabilities, from top to bottom.

        Args:
            read: Callable from the top, left, height and width of a window to its pixels.
            size: Tuple `(height, width)` of the image.
            window: Tuple, as returned by the method `window`.
            overlap: Float, the minimum overlap of neighboring windows as a fraction of a window.
            batch_size: Integer, the number of windows per model call. Defaults to `1`.
            timeout: Float, seconds for each model call, or `None`.

        Yields:
            Tuples of the first row of a band and its probabilities `(rows, width, outputs)`.
        """
        window = tuple(map(min, window, size))

        def predict(corners):
            return self.probabilities(np.stack([read(*at, *window) for at in corners]), timeout)

        return blended_bands(predict, size, window, overlap, batch_size)

    def bands_of(self, image, window, overlap, batch_size=1, timeout=None):
        """Like `bands`, for an image that is an array."""

        def read(top, left, height, width):
            return self.to_pixels(image[top : top + height, left : left + width])

        return self.bands(read, image.shape[:2], window, overlap, batch_size, timeout)

    def classes_of(self, probabilities):
        """Returns the classes of probabilities, as in a class map."""
        return choose_classes(probabilities, self.task, self.threshold)

    def collect(self, image, bands, keep_probabilities=False):
        """Returns the `Segmentation` of an image.

        Args:
            image: Array `(height, width)` or `(height, width, bands)`.
            bands: Iterable of pairs of first row and probabilities.
            keep_probabilities: Boolean. Defaults to `False`.
        """
        size, outputs = image.shape[:2], self.outputs
        class_map = np.empty(
            (*size, outputs) if self.task == "multilabel" else size,
            dtype="uint8" if outputs <= 256 else "int32",
        )
        probabilities = np.empty((*size, outputs), dtype="float32") if keep_probabilities else None
        for top, band in bands:
            class_map[top : top + len(band)] = self.classes_of(band)
            if keep_probabilities:
                probabilities[top : top + len(band)] = band
        return self.result(image, class_map, probabilities)

    def result(self, image, class_map, probabilities=None):
        """Returns a `Segmentation` with the class names and colors."""
        return Segmentation(
            image,
            class_map,
            probabilities,
            count_labels(self.task, self.outputs),
            self.class_names,
            self.palette,
            self.task,
            value_range=self.value_range,
        )


def check_overlap(overlap):
    """Raises a ValueError unless the overlap of windows is a valid fraction."""
    if not 0 <= overlap < 1:
        raise ValueError(f"`overlap` must be at least 0 and below 1. Received: {overlap}")


def as_segmenter(model, threshold=None, size=None):
    """Returns a `Segmenter` for a Keras model; an artifact is returned unchanged.

    Raises:
        TypeError: If `model` is neither.
        ValueError: If a threshold or size is given for an artifact, which contains its own.
    """
    if isinstance(model, Segmenter):
        for name, value in (("threshold", threshold), ("network_size", size)):
            if value is not None:
                raise ValueError(
                    f"An exported model contains its {name.replace('_', ' ')}; pass "
                    f"`{name}` to `export_model`. Received: {value}"
                )
        return model
    if not hasattr(model, "predict_on_batch"):
        raise TypeError(
            "`model` must be a Keras model or a keras_segattn.export.ExportedSegmenter. "
            f"Received: {model!r}"
        )
    from keras_segattn.inference.keras_segmenter import KerasSegmenter

    return KerasSegmenter(model, size=size, threshold=threshold)
