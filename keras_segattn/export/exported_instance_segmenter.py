"""An exported instance segmentation network that takes any image."""

from pathlib import Path

import numpy as np

from keras_segattn.export.formats import load_exported, read_metadata
from keras_segattn.images import read_image, to_pixels, to_value_range
from keras_segattn.images.fitted_size import fitted_size
from keras_segattn.inference.instances import Instances


class ExportedInstanceSegmenter:
    """Finds the objects in an image with an artifact in its own runtime.

    It takes the same images as `keras_segattn.inference.segment_instances` and needs neither Keras
    nor a backend, except for a SavedModel, which TensorFlow runs. Threads may share an instance. A
    pickled instance loads its artifact from the same path.

    Args:
        path: Path of an artifact of an instance segmentation network, with preprocessing and a
            batch size that is free or 1.
        threads: Integer, as for `load_exported`. Defaults to `None`: the runtime chooses.

    Call arguments:
        image: Path of a file, bytes of one, `PIL.Image.Image`, or array `(height, width)` or
            `(height, width, channels)`.
        short_side: Integer, the length in pixels to which the shorter side is resized for the
            network; 800 for a model trained on COCO. Defaults to `None`, the image's own size. Not
            needed for an artifact of fixed size.
        long_side: Integer, the maximum length of the longer side after that; 1333 for a model
            trained on COCO. Defaults to `None`, no limit.
        score_threshold: Float, the minimum score of a returned object. Defaults to `0.5`.
        channel_order: `"RGB"` or `"BGR"`, the order of the colors of arrays. Defaults to `"RGB"`.
        timeout: Float, the number of seconds after which the runtime stops the computation, as for
            `load_exported`. Defaults to `None`, no limit.

    Returns:
        A `keras_segattn.inference.Instances`.

    Attributes:
        metadata: Dict, as from `read_metadata`.

    Raises:
        TimeoutError: If the computation takes longer than `timeout`.
        ValueError: If the artifact has other inputs or outputs, the image is empty or damaged or
            has the wrong channels, or a side is below 1.

    Example:

    ```python
    find = keras_segattn.export.ExportedInstanceSegmenter("mask_rcnn.onnx")
    find("street.jpg", short_side=800, long_side=1333).to_coco(image_id=1)
    ```
    """

    def __init__(self, path, threads=None):
        self.metadata = self.check(path)
        _, *self.sides, self.channels = self.metadata["input"]["shape"]
        self.value_range = to_value_range(self.metadata["preprocessing"].get("value_range"))
        self._arguments = Path(path).absolute(), threads
        self._run = load_exported(*self._arguments, logits=False)

    def __reduce__(self):
        return ExportedInstanceSegmenter, self._arguments

    @staticmethod
    def check(path):
        """Returns the metadata of an artifact if this class supports it, without loading it.

        Raises:
            FileNotFoundError: If the artifact does not exist.
            ValueError: If this class does not support the artifact. The message says how to export
                one.
        """
        metadata = read_metadata(path)
        (batch, *_), dtype = metadata["input"]["shape"], metadata["input"]["dtype"]
        if (dtype, metadata["output"]) != ("uint8", "objects") or batch not in (None, 1):
            raise ValueError(
                f"{path} takes {dtype} images in batches of {batch or 'any size'} and returns "
                f"{metadata['output']}; export an instance segmentation network, such as MaskRCNN, "
                "with preprocessing=None and a free batch size. For class maps, use "
                "`ExportedSegmenter`."
            )
        return metadata

    def __call__(
        self,
        image,
        *,
        short_side=None,
        long_side=None,
        score_threshold=0.5,
        channel_order="RGB",
        timeout=None,
    ):
        image = read_image(image, channel_order=channel_order)
        pixels = to_pixels(image, self.channels, self.value_range)
        height, width = pixels.shape[:2]
        fitted = fitted_size(height, width, short_side, long_side)
        rows, columns = (fixed or side for fixed, side in zip(self.sides, fitted, strict=True))
        if (rows, columns) != (height, width):
            pixels = _resized(pixels, (rows, columns))
        found = self._run(np.rint(pixels).astype("uint8")[None], timeout)
        found = {key: value[0] for key, value in found.items()}
        boxes = found["boxes"] * np.array([width / columns, height / rows] * 2, "float32")
        kept = (found["classes"] >= 0) & (found["scores"] >= score_threshold)
        kept &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        parts = (found[key][kept] for key in ("scores", "classes", "masks"))
        return Instances(image, boxes[kept], *parts, self.metadata["class_names"])


def _resized(pixels, size):
    """Resizes linearly with antialiasing, as `segment_instances` does with the backend."""
    from PIL import Image

    channels = [
        Image.fromarray(np.ascontiguousarray(pixels[..., c])).resize(
            size[::-1], Image.Resampling.BILINEAR
        )
        for c in range(pixels.shape[-1])
    ]
    return np.clip(np.stack([np.asarray(c) for c in channels], axis=-1), 0, 255)
