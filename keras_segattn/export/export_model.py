"""Exporting a model, and proving that the artefact does what the model does."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_segattn.export import onnx, saved_model
from keras_segattn.export.serving_model import serving_model
from keras_segattn.weights.preprocessing import IMAGENET

FORMATS = {"saved_model": saved_model, "onnx": onnx}
# Pixels whose two best classes are equal up to rounding may differ.
LEAST_AGREEMENT = 0.999


def export_model(model, path, format="saved_model", preprocess=None, images=None):
    """Exports a segmentation model for serving, and verifies the artefact.

    The artefact takes a batch of uint8 images of any height and width that the model takes, and
    returns the class map `(batch, height, width)`; preprocessing and argmax are inside. It is
    reloaded in its own runtime and compared with the model before it gets its name: `path` holds
    the whole, verified artefact, or what it held before.

    TensorFlow does the export. On the JAX and torch backends it does so in a process of its own.

    Args:
        model: A functional model from preprocessed images to logits, such as `CANet`. A model in
            mixed precision is exported in float32.
        path: The folder (SavedModel) or file (ONNX) to write.
        format: `"saved_model"` or `"onnx"`. Defaults to `"saved_model"`.
        preprocess: Callable that preprocesses a Keras tensor of images. Defaults to
            `model.preprocessing`, and to that of ImageNet's weights for a model without it.
        images: Sequence of uint8 images `(height, width, channels)` to verify with. Defaults to
            noise in two sizes.

    Returns:
        The smallest share, over the images, of pixels whose class equals that of the model.

    Raises:
        ValueError: If `format` is unknown.
        RuntimeError: If the export fails, or the share of equal pixels is below 0.999; nothing is
            then written.

    Example:

    ```python
    agreement = keras_segattn.export.export_model(model, "canet.onnx", format="onnx")
    ```
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {sorted(FORMATS)}. Received: {format!r}")
    target = FORMATS[format]
    path = Path(path)
    if preprocess is None:
        preprocess = getattr(model, "preprocessing", IMAGENET)
    served = serving_model(model, preprocess)
    if images is None:
        images = _noise(served.input_shape[1:])
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        artefact = Path(folder) / path.name
        if keras.backend.backend() == "tensorflow":
            target.write(served, artefact)
        else:
            _write_with_tensorflow(served, artefact, format)
        agreement = _agreement(served, target.load(artefact), images)
        if agreement < LEAST_AGREEMENT:
            raise RuntimeError(
                f"The {format} artefact gives another class than the model to "
                f"{1 - agreement:.2%} of the pixels; it was not written to {path}."
            )
        _replace(artefact, path)
    return agreement


def _write_with_tensorflow(served, artefact, format):
    source = artefact.with_name("serving.keras")
    served.save(source)
    command = [sys.executable, "-m", "keras_segattn.export.worker", source, artefact, format]
    result = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise RuntimeError(
            "TensorFlow, which writes the artefact in a process of its own, failed:\n"
            f"{result.stderr[-2000:]}"
        )


def _noise(shape):
    height, width, channels = shape
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (height or h, width or w, channels), dtype="uint8")
        for h, w in ((96, 128), (65, 97))
    ]


def _agreement(served, run, images):
    shares = []
    for image in images:
        expected = keras.ops.convert_to_numpy(served(image[None]))
        shares.append(float(np.mean(run(image[None]) == expected)))
    return min(shares)


def _replace(source, path):
    """Moves a file or folder to a name that may be taken, which a folder cannot do in one step."""
    before = None
    if path.is_dir():
        before = path.with_name(f".{path.name}.before")
        os.replace(path, before)
    try:
        os.replace(source, path)
    except OSError:
        if before is not None:
            os.replace(before, path)
        raise
    if before is not None:
        shutil.rmtree(before)
