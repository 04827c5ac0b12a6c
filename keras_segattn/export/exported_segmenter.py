"""An exported model that accepts images of any format."""

import threading
import time
from pathlib import Path

import numpy as np

from keras_segattn.arguments import LEAST_SIDE, check_at_least
from keras_segattn.export.formats import load_exported, read_metadata
from keras_segattn.images import read_image, to_value_range
from keras_segattn.inference.segmenter import Segmenter, check_overlap
from keras_segattn.task import probabilities_of


class ExportedSegmenter(Segmenter):
    """Segments images with an artifact in its own runtime.

    It accepts the same images as `keras_segattn.inference.segment`. An image with a side below 32
    pixels is padded with its border pixels, and the result is cropped. For an artifact with a fixed
    size, images are resized, without antialiasing as in `segment`, and the classes are resized
    back. A TensorRT engine with free sizes accepts only sides from 64 to 2048.

    Neither Keras nor a backend is imported, except for a SavedModel: TensorFlow runs it and imports
    Keras. Threads may share an instance. An instance can be pickled; unpickling loads the artifact
    from the same path.

    Args:
        path: Path of an artifact with preprocessing inside and class maps as output, for batches of
            any size or of one image.
        threads: Integer, as for `load_exported`. Defaults to `None`: the runtime chooses.
        tile: `None` for the whole image at once; or the side, or `(height, width)`, of a sliding
            window, as for `segment`. The probabilities of windows are computed from the logits; for
            ONNX files, this requires the package `onnx`. An artifact with a fixed size accepts only
            windows of this size. Defaults to `None`.
        overlap: Float, the minimum overlap of neighboring windows, as for `segment`. Defaults to
            `0.25`.
        batch_size: Integer, the number of windows per call, if the artifact accepts batches of any
            size. Defaults to `1`.

    Call arguments:
        image: Path of a file, bytes of one, `PIL.Image.Image`, or array `(height, width)` or
            `(height, width, channels)`.
        channel_order: `"RGB"` or `"BGR"`, the color order of an array, as for
            `keras_segattn.images.read_image`. Defaults to `"RGB"`.
        timeout: Float, seconds after which the runtime aborts the computation of all windows
            together, as for `load_exported`. Defaults to `None`, no limit.

    Returns:
        A `Segmentation` without probabilities.

    Attributes:
        metadata: Dict, as returned by `read_metadata`.
        value_range: Tuple `(low, high)` of the image values that become 0 and 255, or one tuple per
            band, as in training; `None` if the dtype determines the range.
        takes_timeout: Boolean, whether the runtime can abort a computation.

    Raises:
        TimeoutError: If the computation takes longer than `timeout`.
        ValueError: If the artifact has another kind of input or output; if the image is empty or
            damaged or has wrong channels; or if `tile` does not fit the artifact.

    Example:

    ```python
    segment = keras_segattn.export.ExportedSegmenter("canet.onnx", threads=1)
    segment("street.jpg").class_map
    by_tiles = keras_segattn.export.ExportedSegmenter("canet.onnx", tile=512)
    by_tiles("scene.tif").class_map
    ```
    """

    def __init__(self, path, threads=None, tile=None, overlap=0.25, batch_size=1):
        self.metadata = self.check(path)
        self.shape = self.metadata["input"]["shape"]
        self.sides, self.channels = tuple(self.shape[1:3]), self.shape[-1]
        # Files from earlier versions have no task.
        self.task = self.metadata.get("task", "multiclass")
        threshold = self.metadata.get("threshold")
        self.threshold = tuple(threshold) if isinstance(threshold, list) else threshold
        self.outputs = 1 if self.task == "binary" else self.metadata["classes"]
        self.class_names, self.palette = self.metadata["class_names"], self.metadata["palette"]
        self.value_range = to_value_range(self.metadata["preprocessing"].get("value_range"))
        self._path = Path(path).absolute()
        self._arguments = self._path, threads, tile, overlap, batch_size
        check_overlap(overlap)
        check_at_least("batch_size", batch_size, 1)
        self._window = None if tile is None else self.window(tile)
        if tile is not None:
            self._check_probabilities()
        self._gives_logits = tile is not None
        self._lock = threading.Lock()
        self._run = load_exported(self._path, threads, logits=self._gives_logits)

    def __reduce__(self):
        return ExportedSegmenter, self._arguments

    @staticmethod
    def check(path):
        """Returns the metadata of an artifact that fits this class, without loading it.

        Raises:
            FileNotFoundError: If `path` does not exist.
            ValueError: If the artifact does not fit; the message says how to export one that fits.
        """
        metadata = read_metadata(path)
        (batch, *_), dtype = metadata["input"]["shape"], metadata["input"]["dtype"]
        if (dtype, metadata["output"]) != ("uint8", "class_map") or batch not in (None, 1):
            raise ValueError(
                f"{path} expects {dtype} images in batches of {batch or 'any size'} and returns "
                f"{metadata['output']}; export it with preprocessing=None, output='class_map' and "
                "a free batch."
            )
        return metadata

    @property
    def takes_timeout(self):
        return self._run.takes_timeout

    def __call__(self, image, channel_order="RGB", timeout=None):
        image = read_image(image, channel_order=channel_order)
        if self._window is not None:
            _, _, _, overlap, batch_size = self._arguments
            return self.collect(
                image, self.bands_of(image, self._window, overlap, batch_size, _Deadline(timeout))
            )
        outputs = self._run(self._as_input(self.to_pixels(image)), timeout)
        return self.result(image, self._cut_back(outputs["class_map"][0], image.shape[:2]))

    def probabilities(self, pixels, timeout=None):
        """Returns the probabilities of images, computed from the artifact's logits.

        Args:
            pixels: float32 array `(count, height, width, channels)` from 0 to 255.
            timeout: Float, seconds, or `None`.

        Raises:
            ValueError: If the artifact resizes images or class maps internally, or does not record
                whether it has logits.
        """
        self._load_logits()
        size = pixels.shape[1:3]
        together = len(pixels) if self.shape[0] is None else 1
        found = []
        for first in range(0, len(pixels), together):
            part = pixels[first : first + together]
            left = timeout.left() if isinstance(timeout, _Deadline) else timeout
            outputs = self._run(np.concatenate([self._as_input(image) for image in part]), left)
            height, width = self._size(size)
            logits = outputs["logits"][:, :height, :width]
            if self.metadata["from_logits"]:
                logits = probabilities_of(logits, self.task)
            found += [_resized(values, size) for values in logits]
        return np.stack(found)

    def _load_logits(self):
        self._check_probabilities()
        with self._lock:
            if not self._gives_logits:
                self._run = load_exported(self._path, self._arguments[1], logits=True)
                self._gives_logits = True

    def _check_probabilities(self):
        resized = self.metadata.get("network_size")
        if resized is not None or self.metadata["resized"] == "class_map":
            coarse = "output='coarse_class_map' or 'likely_class_map'"
            option = coarse if resized is None else f"network_size={resized}"
            raise ValueError(
                f"{self._path} was exported with {option} and has no logits of the image size, "
                "which are needed for the probabilities of windows and frames. Export it without "
                "this option."
            )
        if self.metadata.get("from_logits") is None:
            raise ValueError(
                f"It is unknown whether {self._path} contains logits or probabilities. Set "
                "model.from_logits to True or False, and export the model again."
            )

    def _as_input(self, pixels):
        return np.rint(self._fitted(pixels)).astype("uint8")[None]

    def _fitted(self, pixels):
        height, width = size = self._size(pixels.shape[:2])
        pixels = _resized(pixels, size)
        missing = [
            (0, 0 if fixed else max(0, LEAST_SIDE - side))
            for fixed, side in zip(self.shape[1:3], (height, width), strict=True)
        ]
        return np.pad(pixels, [*missing, (0, 0)], mode="edge")

    def _cut_back(self, class_map, size):
        height, width = self._size(size)
        class_map = class_map[:height, :width]
        if class_map.shape[:2] == size:
            return class_map
        if class_map.ndim == 2:
            return _nearest(class_map, size)
        classes = [_nearest(class_map[..., i], size) for i in range(class_map.shape[-1])]
        return np.stack(classes, axis=-1)

    def _size(self, size):
        return tuple(fixed or side for fixed, side in zip(self.shape[1:3], size, strict=True))


class _Deadline:
    """A common deadline for several computations."""

    def __init__(self, timeout):
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self):
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("The windows were not computed in time.")
        return left


def _resized(values, size):
    """Returns an array `(height, width, channels)` resized bilinearly."""
    if values.shape[:2] == size:
        return values
    return np.stack([_bilinear(values[..., c], size) for c in range(values.shape[-1])], axis=-1)


def _bilinear(channel, size):
    """Resizes like `keras.ops.image.resize`, without a backend; Pillow would antialias."""
    from PIL import Image

    steps = (channel.shape[1] / size[1], 0, 0, 0, channel.shape[0] / size[0], 0)
    image = Image.fromarray(np.ascontiguousarray(channel))
    return np.asarray(
        image.transform(size[::-1], Image.Transform.AFFINE, steps, Image.Resampling.BILINEAR)
    )


def _nearest(class_map, size):
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(class_map))
    return np.asarray(image.resize(size[::-1], Image.Resampling.NEAREST))
