"""Export of instance segmentation networks, and comparison of their artifacts."""

import keras
import numpy as np

from keras_segattn.applications.instance_segmentation_model import find_objects
from keras_segattn.arguments import check_choice
from keras_segattn.detection.image_padding import ImagePadding
from keras_segattn.export.serving_model import in_float32, input_sizes, preprocessed

FORMATS = ("saved_model", "onnx")
# Rounding may decide which of two similar objects suppresses the other.
LEAST_AGREEMENT = {"float32": 0.98, "float16": 0.9}
# Two objects are equal if they have the same class and agree within these limits.
LEAST_OVERLAP, LEAST_MASK, LARGEST_DIFFERENCE = 0.9, 0.95, 0.05
# Arguments of `export_model` that apply only to class maps, with their defaults.
OF_CLASS_MAPS = {"output": "class_map", "network_size": None, "threshold": None}


def check_instance_arguments(format, dtype, arguments):
    """Raises a ValueError if an argument of `export_model` applies only to class maps.

    Args:
        format: Name of the format.
        dtype: The precision.
        arguments: Dict of the values of `OF_CLASS_MAPS`.
    """
    if format not in FORMATS:
        raise ValueError(
            f"An instance segmentation network can be exported to {FORMATS}; other formats are not "
            f"verified for its loops and indices. Received: format={format!r}"
        )
    check_choice("dtype of an instance segmentation network", dtype, tuple(LEAST_AGREEMENT))
    for name, default in OF_CLASS_MAPS.items():
        if arguments[name] != default:
            raise ValueError(
                f"`{name}` applies only to networks that return a class map, not to instance "
                f"segmentation: omit it. Received: {name}={arguments[name]!r}"
            )


def instance_serving_model(model, preprocessing, input_shape=(None, None, None)):
    """Wraps an instance segmentation network with its preprocessing and the padding of images.

    Args:
        model: An `InstanceSegmentationModel`.
        preprocessing: As for `serving_model`.
        input_shape: Tuple `(batch, height, width)`, with `None` for any size. Defaults to any size.

    Returns:
        A functional float32 model from `images` `(batch, height, width, channels)`, uint8, or
        float32 without `preprocessing`, to a dict of boxes, scores, classes and masks. No object
        extends beyond the image.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        model = in_float32(model)
        images = keras.Input(
            batch_shape=(*input_sizes(model, input_shape, None), model.input_shape[-1]),
            dtype="float32" if preprocessing is None else "uint8",
            name="images",
        )
        x = images if preprocessing is None else preprocessed(images, preprocessing)
        padded, sizes = ImagePadding(name="padding")(x)
        outputs = find_objects(model.get_layer, padded, sizes)
        return keras.Model(images, outputs, name=f"{model.name}_serving")
    finally:
        keras.config.set_dtype_policy(policy)


def compare_objects(served, run, batches):
    """Returns the smallest share of equal objects and the largest difference of their scores.

    An object of the model and an object of the artifact are equal if they have the same class,
    their boxes overlap by 0.9, their scores differ by at most 0.05, and 95% of their mask pixels
    agree. Their order does not matter. The overlap is the intersection over union of the boxes
    widened by half a pixel on each side: untrained networks find boxes that are much thinner than a
    pixel, and rounding moves these by a tenth of their thickness.

    Args:
        served: The model, as `instance_serving_model` returns it.
        run: The artifact.
        batches: List of batches of images.

    Raises:
        RuntimeError: If a number is not finite, or the shapes of the outputs differ.
    """
    shares, differences = [1.0], [0.0]
    for images in batches:
        expected = keras.tree.map_structure(keras.ops.convert_to_numpy, served(images))
        got = run(images)
        for name, want in expected.items():
            if got[name].shape != want.shape:
                raise RuntimeError(
                    f"The artifact returns {name} of shape {got[name].shape}, but the model "
                    f"returns {want.shape}."
                )
            for owner, values in (("model", want), ("artifact", got[name])):
                if not np.isfinite(values).all():
                    raise RuntimeError(
                        f"The {name} of the {owner} are not finite. Check the weights, and the "
                        "range of the images."
                    )
        for i in range(len(images)):
            one, other = ({k: v[i] for k, v in found.items()} for found in (expected, got))
            pairs = _pairs(one, other)
            count = max(np.sum(one["classes"] >= 0), np.sum(other["classes"] >= 0))
            shares.append(len(pairs) / count if count else 1.0)
            differences += [abs(float(one["scores"][a] - other["scores"][b])) for a, b in pairs]
    return min(shares), max(differences)


def _pairs(one, other):
    """Returns the indices of equal objects, each in at most one pair."""
    left, pairs = set(np.flatnonzero(other["classes"] >= 0)), []
    for i in np.flatnonzero(one["classes"] >= 0):
        alike = [j for j in left if _are_equal(one, i, other, j)]
        if alike:
            j = min(alike, key=lambda j: abs(one["scores"][i] - other["scores"][j]))
            pairs.append((i, j))
            left.remove(j)
    return pairs


def _are_equal(one, i, other, j):
    return (
        one["classes"][i] == other["classes"][j]
        and abs(one["scores"][i] - other["scores"][j]) <= LARGEST_DIFFERENCE
        and _overlap(one["boxes"][i], other["boxes"][j]) >= LEAST_OVERLAP
        and np.mean((one["masks"][i] >= 0.5) == (other["masks"][j] >= 0.5)) >= LEAST_MASK
    )


def _overlap(a, b):
    """Returns the intersection over union of two boxes widened by half a pixel on each side."""
    a, b = (np.concatenate([box[:2] - 0.5, box[2:] + 0.5]) for box in (a, b))
    both = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return both / (sum(np.prod(box[2:] - box[:2]) for box in (a, b)) - both)
