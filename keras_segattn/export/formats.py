"""The formats by name. Each is a module of the same few names.

`SUFFIX` is that of its file, empty for a folder; `DTYPES` are the precisions it offers; `RUNTIME`
are the packages that run it, `WRITERS` those that write it beside TensorFlow, and `EXTRA` installs;
`write(served, path, metadata, dtype, calibration)` writes the artefact of a model that
`serving_model` returned; `load(path, threads)` returns a function from a batch of images to a dict
of outputs, the logits among them; `read_metadata(path)` returns what `write` was given. Some have
`NEED_FIXED_SIZES`, the precisions that free sizes would spoil, and `check()`, which raises a
`RuntimeError` if the format cannot be written on this machine.
"""

import importlib.util
from fnmatch import fnmatchcase
from pathlib import Path

from keras_segattn.export import (
    litert,
    onnx,
    onnx_cpu,
    openvino,
    saved_model,
    tensorrt,
    tf_trt,
)

FORMATS = {
    "saved_model": saved_model,
    "tf_trt": tf_trt,
    "onnx": onnx,
    "onnx_cpu": onnx_cpu,
    "tensorrt": tensorrt,
    "litert": litert,
    "openvino": openvino,
}
# The files that tell a folder's format.
FOLDERS = {"saved_model.pb": saved_model, openvino.MODEL: openvino, tensorrt.ENGINE: tensorrt}


def load_exported(path, threads=None):
    """Loads an artefact in its own runtime, without Keras.

    Args:
        path: What `export_model` wrote.
        threads: Integer, the threads of the processor that a call computes with. TensorFlow has
            them in common for a process, and takes the number before it first computes. Defaults
            to `None`: the runtime chooses.

    Returns:
        A function from a batch of images `(batch, height, width, channels)`, uint8 unless
        preprocessing was left outside, to a dict of arrays: the output asked for by its name,
        `"class_map"` say, and `"logits"`.

    Raises:
        FileNotFoundError: If there is nothing.
        ImportError: If its runtime is missing; names the extra.
        ValueError: If it is no artefact of a known format.

    Example:

    ```python
    run = keras_segattn.export.load_exported("canet.onnx")
    class_map = run(image[None])["class_map"][0]
    ```
    """
    path = Path(path)
    target = _format_of(path)
    check_packages(next(name for name, module in FORMATS.items() if module is target))
    return target.load(path, threads)


def read_metadata(path):
    """Returns what an artefact says of itself.

    Args:
        path: What `export_model` wrote.

    Returns:
        Dict with the `network` and the `keras_segattn` that wrote it, its `input` (name, dtype and
        shape), `output`, `dtype`, `preprocessing`, `class_names` and `palette`.

    Raises:
        FileNotFoundError: If there is nothing.
        ValueError: If it is no artefact of a known format, or none that `export_model` wrote.
    """
    path = Path(path)
    target = _format_of(path)
    try:
        return target.read_metadata(path)
    except Exception as error:
        # Each runtime has errors of its own for a file that it cannot read.
        raise ValueError(f"{path} has no metadata of export_model: {error!r}") from error


def is_artefact(path, folder):
    """Whether a path holds what `export_model` wrote, and nothing else.

    Args:
        path: Path of a file or folder that exists.
        folder: Boolean, whether the artifact is a folder.
    """
    if path.is_dir() != folder:
        return False
    try:
        read_metadata(path)
    except (ImportError, ValueError):
        return False
    if not folder:
        return True
    files = (file for file in path.rglob("*") if file.is_symlink() or not file.is_dir())
    names = (file.relative_to(path).as_posix() for file in files)
    return all(any(fnmatchcase(name, known) for known in _format_of(path).FILES) for name in names)


def check_packages(format, writing=False):
    """Raises an ImportError that names the extra, if a package of a format is missing."""
    target = FORMATS[format]
    packages = (*target.RUNTIME, *target.WRITERS, "tensorflow") if writing else target.RUNTIME
    missing = [name for name in dict.fromkeys(packages) if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"{format!r} needs {', '.join(missing)}: pip install "
            f"'keras-segattn[{','.join(sorted({'export', target.EXTRA}))}]'"
        )


def _format_of(path):
    if not path.exists():
        raise FileNotFoundError(f"There is no artefact at {path}")
    for file, target in FOLDERS.items():
        if (path / file).is_file():
            return target
    for target in FORMATS.values():
        if target.SUFFIX and path.suffix == target.SUFFIX:
            return target
    raise ValueError(
        f"{path} is no artefact of a known format: a .onnx or .tflite file, or a folder with one "
        f"of {sorted(FOLDERS)}"
    )
