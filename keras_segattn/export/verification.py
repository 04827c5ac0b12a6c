"""Compares an artifact with its model."""

import keras
import numpy as np

from keras_segattn.images import read_image, to_pixels
from keras_segattn.spread import evenly_spread
from keras_segattn.task import choose_classes

# Pixels whose two best classes are equal up to rounding may differ between runtimes.
LEAST_AGREEMENT = {"float32": 0.999, "float16": 0.99, "int8": 0.95}
# Number of images to compare, and to calibrate int8.
COMPARED, CALIBRATED = 8, 64


def input_batches(served, images, outside, files_range=None):
    """Returns the batches for comparison and the batches for calibration."""
    batch, height, width, channels = served.input_shape
    if images is None:
        rng = np.random.default_rng(0)
        sizes = [(height or h, width or w) for h, w in ((96, 128), (65, 97))]
        if served.input.dtype == "uint8" or outside is not None:
            images = [rng.integers(0, 256, (*size, channels), dtype="uint8") for size in sizes]
        else:
            images = [rng.normal(size=(*size, channels)).astype("float32") for size in sizes]
    compared = set(_spread(range(len(images)), COMPARED))
    others = [index for index in range(len(images)) if index not in compared]
    calibrated = _spread(others or sorted(compared), CALIBRATED)

    def read(index):
        if hasattr(images, "read"):
            # A data set has already applied its value range.
            image, value_range = images.read(index)[0], None
        else:
            image, value_range = images[index], files_range
        if served.input.dtype != "uint8" and outside is None:
            pixels = np.asarray(image, dtype="float32")
        else:
            pixels = to_pixels(read_image(image), channels, value_range)
        size = (height or pixels.shape[0], width or pixels.shape[1])
        if pixels.shape[:2] != size:
            resized = keras.ops.image.resize(pixels, size, data_format="channels_last")
            pixels = keras.ops.convert_to_numpy(resized)
        if outside is not None:
            pixels = keras.ops.convert_to_numpy(outside(pixels))
        elif served.input.dtype == "uint8":
            pixels = np.rint(pixels).astype("uint8")
        return np.repeat(pixels[None], batch or 1, axis=0)

    return [read(index) for index in sorted(compared)], [read(index) for index in calibrated]


def _spread(indices, count):
    """Returns up to `count` of the indices, evenly spread."""
    return [indices[place] for place in evenly_spread(len(indices), count)]


def compare(served, run, output, batches, task, threshold):
    """Returns the smallest fraction of equal pixels and the largest logit difference.

    Args:
        served: The model, as returned by `serving_model`, or a callable like it.
        run: The artifact.
        output: Name of the output.
        batches: List of batches of images.
        task: The task of the model.
        threshold: Value that sigmoid outputs must exceed; not used for class maps.

    Raises:
        RuntimeError: If the logits of the model or the artifact are not finite, or the shapes of
            the outputs differ.
    """
    shares, differences = [], []
    for images in batches:
        expected, got = (
            keras.tree.map_structure(keras.ops.convert_to_numpy, served(images)),
            run(images),
        )
        for name, outputs in (("model", expected), ("artifact", got)):
            count = np.sum(~np.isfinite(outputs["logits"]))
            if count:
                raise RuntimeError(
                    f"{count} of {outputs['logits'].size} logits of the {name} are NaN or "
                    "infinite, so the class map is meaningless. Check the weights and the range "
                    "of the images."
                )
        maps = [
            outputs[output]
            if output == "class_map"
            else choose_classes(outputs[output], task, threshold)
            for outputs in (expected, got)
        ]
        for name in (output, "logits"):
            if got[name].shape != expected[name].shape:
                raise RuntimeError(
                    f"The artifact returns {name} of shape {got[name].shape}, but the model "
                    f"returns {expected[name].shape}."
                )
        shares.append(float(np.mean(maps[0] == maps[1])))
        differences.append(float(np.abs(got["logits"] - expected["logits"]).max()))
    return min(shares), max(differences)
