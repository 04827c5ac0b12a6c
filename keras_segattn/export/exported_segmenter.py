"""An exported model that takes images of any kind."""

from pathlib import Path

import numpy as np

from keras_segattn.arguments import LEAST_SIDE
from keras_segattn.export.formats import load_exported, read_metadata
from keras_segattn.images import read_image, to_pixels, to_value_range
from keras_segattn.inference.segmentation import Segmentation


class ExportedSegmenter:
    """Finds the class of every pixel of an image with an artifact, in its own runtime.

    It takes the same images as `keras_segattn.inference.segment`. An image with a side below 32
    pixels is continued by its border pixels, and cut back; for an artifact of fixed size images are
    resized, without antialiasing as in `segment`, and the classes back. A TensorRT engine of free
    sizes takes sides from 64 to 2048 only.

    Neither Keras nor a backend is imported, except for a SavedModel: TensorFlow runs it, and
    imports Keras. Threads may share an instance. It can be pickled, and is then loaded from the
    same path.

    Args:
        path: Path of an artifact with preprocessing inside and class maps out, in batches of
            any size or of one.
        threads: Integer, as for `load_exported`. Defaults to `None`: the runtime chooses.

    Call arguments:
        image: Path of a file, bytes of one, `PIL.Image.Image`, or array `(height, width)` or
            `(height, width, channels)`.
        channel_order: `"RGB"` or `"BGR"`, the order of the colors of an array, as for
            `keras_segattn.images.read_image`. Defaults to `"RGB"`.
        timeout: Float, the seconds after which the runtime ends the computation, as for
            `load_exported`. Defaults to `None`, no limit.

    Returns:
        A `Segmentation` without probabilities.

    Attributes:
        metadata: Dict, as from `read_metadata`.
        value_range: Tuple `(low, high)` of the values of an image that become 0 and 255, or one
            such for each band, as it was trained; `None` to go by the dtype.
        takes_timeout: Boolean, whether the runtime can end a computation.

    Raises:
        TimeoutError: If the computation takes longer than `timeout`.
        ValueError: If the artifact takes or returns something else; or the image is empty, damaged
            or of the wrong channels.

    Example:

    ```python
    segment = keras_segattn.export.ExportedSegmenter("canet.onnx", threads=1)
    segment("street.jpg").class_map
    ```
    """

    def __init__(self, path, threads=None):
        self.metadata = self.check(path)
        self.shape = self.metadata["input"]["shape"]
        self.value_range = to_value_range(self.metadata["preprocessing"].get("value_range"))
        self._arguments = Path(path).absolute(), threads
        self._run = load_exported(*self._arguments, logits=False)

    def __reduce__(self):
        return ExportedSegmenter, self._arguments

    @staticmethod
    def check(path):
        """Returns the metadata of an artifact that an instance can be made of, without loading it.

        Raises:
            FileNotFoundError: If there is nothing.
            ValueError: If it is no such artifact; says how to export one.
        """
        metadata = read_metadata(path)
        (batch, *_), dtype = metadata["input"]["shape"], metadata["input"]["dtype"]
        if (dtype, metadata["output"]) != ("uint8", "class_map") or batch not in (None, 1):
            raise ValueError(
                f"{path} takes {dtype} images in batches of {batch or 'any size'} and returns "
                f"{metadata['output']}; export it with preprocessing=None, output='class_map' and "
                "a free batch."
            )
        return metadata

    @property
    def takes_timeout(self):
        return self._run.takes_timeout

    def __call__(self, image, channel_order="RGB", timeout=None):
        image = read_image(image, channel_order=channel_order)
        pixels = self._fitted(to_pixels(image, self.shape[-1], self.value_range))
        outputs = self._run(np.rint(pixels).astype("uint8")[None], timeout)
        return Segmentation(
            image,
            self._cut_back(outputs["class_map"][0], image.shape[:2]),
            None,
            self.metadata["classes"],
            self.metadata["class_names"],
            self.metadata["palette"],
            # Files of earlier versions have none.
            self.metadata.get("task", "multiclass"),
            value_range=self.value_range,
        )

    def _fitted(self, pixels):
        size = self._size(pixels.shape[:2])
        height, width = size
        if size != pixels.shape[:2]:
            channels = [_bilinear(pixels[..., c], size) for c in range(pixels.shape[-1])]
            pixels = np.stack(channels, axis=-1)
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


def _bilinear(channel, size):
    """Resizes as `keras.ops.image.resize`, without a backend; Pillow's `resize` would antialias."""
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
