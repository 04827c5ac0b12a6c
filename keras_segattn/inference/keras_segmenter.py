"""A Keras model as a source of pixel probabilities."""

import keras
import numpy as np
from keras import ops

from keras_segattn.applications.logits import returns_logits, task_of, to_probabilities
from keras_segattn.arguments import LEAST_SIDE, check_returns_map, check_scales, check_size
from keras_segattn.inference.segmenter import Segmenter
from keras_segattn.task import check_task, check_threshold
from keras_segattn.weights.preprocessing import known_preprocessing


class KerasSegmenter(Segmenter):
    """Pixel probabilities from a Keras model, averaged over scales and mirrored images.

    Args:
        model: A functional model, as for `keras_segattn.inference.segment`.
        preprocessing: Callable, as for `segment`. Defaults to `None`, the model's own.
        size: Tuple `(height, width)`, as for `segment`. Defaults to `None`.
        scales: Sequence of positive floats, as for `segment`. Defaults to `(1.0,)`.
        flip: Boolean, as for `segment`. Defaults to `False`.
        threshold: As for `segment`. Defaults to `None`.

    Raises:
        ValueError: If an argument does not fit the model.
    """

    def __init__(
        self, model, preprocessing=None, size=None, scales=(1.0,), flip=False, threshold=None
    ):
        check_returns_map(model, "segment_instances")
        self.model = model
        self.preprocessing = known_preprocessing(model) if preprocessing is None else preprocessing
        self.sides = tuple(model.input_shape[1:3])
        self.channels, self.outputs = model.input_shape[-1], model.output_shape[-1]
        self._check_size(size)
        check_scales(scales)
        if any(self.sides) and any(scale != 1 for scale in scales):
            raise ValueError(
                f"The model accepts only images of {self.sides}, so `scales` would have no "
                f"effect; omit it. Received: {scales}"
            )
        self.size, self.scales, self.flip = size, scales, flip
        self.task = task_of(model)
        check_task(self.task, self.outputs)
        self.threshold = check_threshold(self.task, threshold, self.outputs)
        self.class_names = getattr(model, "class_names", None)
        self.palette = getattr(model, "palette", None)
        self.value_range = getattr(self.preprocessing, "value_range", None)
        self._logits = returns_logits(model)

    def probabilities(self, pixels, timeout=None):
        """Returns probabilities; `timeout` is ignored because Keras cannot abort a computation."""
        del timeout
        original = pixels.shape[1:3]
        total = 0.0
        for scale in self.scales:
            target = [
                fixed or max(1, round(side * scale))
                for fixed, side in zip(self.sides, self.size or original, strict=True)
            ]
            scaled = _resize(pixels, target)
            for mirror in (False, True) if self.flip else (False,):
                total = total + self._run(scaled, mirror, original)
        return total / (len(self.scales) * (2 if self.flip else 1))

    def _run(self, pixels, mirror, original):
        height, width = pixels.shape[1:3]
        missing = [max(0, LEAST_SIDE - side) for side in (height, width)]
        pixels = pixels[:, :, ::-1] if mirror else pixels
        padded = np.pad(pixels, [(0, 0), (0, missing[0]), (0, missing[1]), (0, 0)], mode="edge")
        outputs = self.model.predict_on_batch(self.preprocessing(padded))[:, :height, :width]
        outputs = np.ascontiguousarray(outputs[:, :, ::-1]) if mirror else outputs
        if len(self.scales) == 1 and not self.flip:
            # As at the end of a network, and in exports.
            outputs = _resize(outputs, original)
        probabilities = to_probabilities(outputs, self.task) if self._logits else outputs
        probabilities = _resize(ops.convert_to_numpy(probabilities), original)
        # A sum is faster than testing each value, and NaN or infinity propagates into it.
        if not np.isfinite(probabilities.sum(dtype="float32")):
            raise ValueError(
                f"Model {self.model.name!r} returns NaN or infinite values for an image of "
                f"{height}x{width} pixels. Its weights are damaged, its training diverged, or the "
                "image is not preprocessed as the model expects."
            )
        return probabilities

    def _check_size(self, size):
        check_size(size)
        if size is not None and any(
            side not in (None, given) for side, given in zip(self.sides, size, strict=True)
        ):
            raise ValueError(f"The model reads only images of {self.sides}. Received: size={size}")


def _resize(images, size):
    if images.shape[1:3] == tuple(size):
        return images
    resized = keras.ops.image.resize(images, size, "bilinear", data_format="channels_last")
    return ops.convert_to_numpy(resized)
