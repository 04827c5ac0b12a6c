"""Finds the objects in an image of any format and size."""

import weakref

import keras
import numpy as np

from keras_segattn.images import read_image, to_pixels
from keras_segattn.images.fitted_size import fitted_size
from keras_segattn.inference.instances import Instances

# A model compiles its `predict` once for each size of images.
_PADDED = weakref.WeakKeyDictionary()
# Every pyramid level then has an integer size.
SIDES_MULTIPLE_OF = 32


def segment_instances(
    model, image, *, short_side=None, long_side=None, score_threshold=0.5, channel_order="RGB"
):
    """Finds the objects in an image, each with a box, a class and a mask of the image size.

    For a model with a fixed size, the image is resized to it, and boxes and masks back.

    Args:
        model: A `keras_segattn.applications.InstanceSegmentationModel`, such as `MaskRCNN`.
        image: The path or the bytes of a file, a `PIL.Image.Image`, or an array, as for `segment`.
        short_side: Integer, the length in pixels to which the shorter side is resized for the
            network; 800 for a model trained on COCO. Defaults to `None`, the image's own size. A
            model of fixed size does not need it.
        long_side: Integer, the maximum length of the longer side after that; 1333 for a model
            trained on COCO. Defaults to `None`, no limit.
        score_threshold: Float, the minimum score of a returned object. Use `0`, all objects, for
            COCO's average precision. Defaults to `0.5`.
        channel_order: `"RGB"` or `"BGR"`, the color order of arrays. Defaults to `"RGB"`.

    Returns:
        An `Instances`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the model is not an `InstanceSegmentationModel`, the image is empty or
            damaged, its channels or values are wrong, or a side is below 1.

    Example:

    >>> model = keras_segattn.applications.MaskRCNN(
    ...     backbone="resnet18", classes=3, filters=8, units=8, proposals=20
    ... )
    >>> found = segment_instances(model, np.zeros((70, 90, 3), "uint8"), score_threshold=0)
    >>> found.masks.shape[1:]
    (70, 90)
    """
    check_finds_objects(model)
    image = read_image(image, channel_order=channel_order)
    pixels = to_pixels(image, model.input_shape[-1])
    height, width = pixels.shape[:2]
    fitted = fitted_size(height, width, short_side, long_side)
    sides = model.input_shape[1:3]
    rows, columns = (fixed or side for fixed, side in zip(sides, fitted, strict=True))
    if (rows, columns) != (height, width):
        pixels = keras.ops.image.resize(
            pixels, (rows, columns), antialias=True, data_format="channels_last"
        )
    batch = keras.ops.convert_to_numpy(model.preprocessing(pixels))[None]
    # Pads below and on the right with zeros, the mean color.
    batch = np.pad(
        batch, ((0, 0), (0, -rows % SIDES_MULTIPLE_OF), (0, -columns % SIDES_MULTIPLE_OF), (0, 0))
    )
    found = _padded(model).predict_on_batch([batch, np.array([[rows, columns]], "int32")])
    found = {key: value[0] for key, value in found.items()}
    boxes = found["boxes"] * np.array([width / columns, height / rows] * 2, "float32")
    kept = (found["classes"] >= 0) & (found["scores"] >= score_threshold)
    kept &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    parts = (found["scores"][kept], found["classes"][kept], found["masks"][kept])
    return Instances(image, boxes[kept], *parts, model.class_names)


def check_finds_objects(model):
    """Raises a ValueError unless a model is an instance segmentation network."""
    if not hasattr(model, "padded_model"):
        raise ValueError(
            f"Model {model.name!r} does not find objects. Pass an instance segmentation network, "
            "such as MaskRCNN; for class maps, use `segment` and `evaluate`."
        )


def _padded(model):
    if model not in _PADDED:
        _PADDED[model] = model.padded_model()
    return _PADDED[model]
