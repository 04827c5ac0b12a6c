"""The formats by name, and functions to run artifacts."""

from pathlib import Path

from keras_segattn.export.litert import LiteRT
from keras_segattn.export.onnx import ONNX
from keras_segattn.export.onnx_cpu import ONNXForProcessors
from keras_segattn.export.openvino import OpenVINO
from keras_segattn.export.saved_model import SavedModel
from keras_segattn.export.tensorrt import TensorRT

FORMATS = {
    format.name: format
    for format in (SavedModel(), ONNX(), ONNXForProcessors(), LiteRT(), OpenVINO(), TensorRT())
}
# Entries of the metadata that files of every version have.
REQUIRED = (
    "network",
    "input",
    "output",
    "resized",
    "preprocessing",
    "classes",
    "class_names",
    "palette",
)


class LoadedArtifact:
    """An artifact in its own runtime, returned by `load_exported`.

    Several threads may call it at once. It can be pickled; another process then loads the artifact
    from the same path.

    Call arguments:
        images: Array `(batch, height, width, channels)`, uint8 unless preprocessing is outside.
        timeout: Float, seconds after which the computation is aborted. Only ONNX Runtime and
            OpenVINO support this; ONNX Runtime stops between two operators. Defaults to `None`, no
            limit.

    Returns:
        Dict of arrays: the exported output under its name, `"class_map"` for example, and
        `"logits"`.

    Attributes:
        takes_timeout: Boolean, whether the runtime can abort a computation.

    Raises:
        TimeoutError: If the computation takes longer than `timeout`.
        ValueError: If `timeout` is given and the runtime cannot abort a computation.
    """

    def __init__(self, path, threads=None, logits=True):
        # The working folder may differ where the object is unpickled.
        self._arguments = Path(path).absolute(), threads, logits
        format = format_of(Path(path))
        format.check_packages()
        self._name, self.takes_timeout = format.name, format.takes_timeout
        try:
            self._run = format.load(*self._arguments)
        except (ImportError, MemoryError):
            raise
        except Exception as error:
            # Each runtime has its own errors for a damaged file.
            raise ValueError(
                f"{path} cannot be loaded by {format.runtime[0]} and may be damaged: {error!r}"
            ) from error

    def __call__(self, images, timeout=None):
        if timeout is None:
            return self._run(images)
        if not self.takes_timeout:
            raise ValueError(
                f"The runtime of {self._name!r} cannot abort a computation; omit `timeout`, or "
                f"export to 'onnx' or 'openvino'. Received: timeout={timeout}"
            )
        return self._run(images, timeout)

    def __reduce__(self):
        return LoadedArtifact, self._arguments


def load_exported(path, threads=None, logits=True):
    """Loads an artifact in its own runtime, without Keras.

    Args:
        path: Path of the artifact.
        threads: Integer, the number of CPU threads per call. TensorFlow shares threads within a
            process and must get the number before its first computation. Defaults to `None`: the
            runtime chooses.
        logits: Boolean, whether to also return the logits, which costs memory and time. With ONNX,
            this requires the package `onnx`. Defaults to `True`.

    Returns:
        A callable from a batch of images `(batch, height, width, channels)`, uint8 unless
        preprocessing is outside, to a dict of arrays: the exported output under its name,
        `"class_map"` for example, and `"logits"`. Several threads may call it at once. It can be
        pickled; unpickling loads the artifact from the same path. For ONNX Runtime and OpenVINO, it
        has the argument `timeout`, in seconds, after which it raises a `TimeoutError`.

    Raises:
        FileNotFoundError: If `path` does not exist.
        ImportError: If the runtime is not installed; the message names the extra.
        ValueError: If `path` is not an artifact in a known format, is damaged, or is an ONNX file
            that refers to other files.

    Example:

    ```python
    run = keras_segattn.export.load_exported("canet.onnx")
    class_map = run(image[None])["class_map"][0]
    ```
    """
    return LoadedArtifact(path, threads, logits)


def read_metadata(path):
    """Returns the metadata of an artifact.

    Args:
        path: Path of the artifact.

    Returns:
        Dict with the `network` and the version of `keras_segattn` that wrote it, its `runtime`,
        `input` (name, dtype and shape), `network_size` (`None` without one), `output`, `dtype`,
        `preprocessing`, number of `classes`, `class_names` and `palette`; the `task`, and the
        `threshold` of its class map.

    Raises:
        FileNotFoundError: If `path` does not exist.
        ValueError: If `path` is not an artifact in a known format, or was not written by
            `export_model`.
    """
    path = Path(path)
    format = format_of(path)
    try:
        metadata = format.read_metadata(path)
    except ImportError:
        raise
    except Exception as error:
        # Each reader has its own errors for a damaged file.
        raise ValueError(
            f"{path} has no metadata of `export_model`, or is damaged: {error!r}"
        ) from error
    _check_complete(path, metadata)
    return metadata


def _check_complete(path, metadata):
    """Raises a ValueError unless metadata have the entries that a segmenter reads."""
    fault = _fault_of(metadata)
    if fault is not None:
        raise ValueError(
            f"{path} has incomplete metadata: {fault}. Export the model again with `export_model`."
        )


def _fault_of(metadata):
    if not isinstance(metadata, dict):
        return f"they are {metadata!r}"
    for name in REQUIRED:
        if name not in metadata:
            return f"it lacks {name!r}"
    for name, entries in (("input", ("shape", "dtype")), ("preprocessing", ())):
        value = metadata[name]
        if not isinstance(value, dict) or not all(entry in value for entry in entries):
            return f"{name!r} is {value!r}"
    return None


def is_artifact(path, folder):
    """Returns whether a path contains an artifact of `export_model` and nothing else.

    Args:
        path: Path of an existing file or folder.
        folder: Boolean, whether the artifact is a folder.
    """
    if path.is_dir() != folder:
        return False
    try:
        read_metadata(path)
    except (ImportError, ValueError):
        return False
    return not folder or not format_of(path).has_other_files(path)


def format_of(path):
    """Returns the `Format` of an artifact.

    Raises:
        FileNotFoundError: If `path` does not exist.
        ValueError: If `path` is not an artifact in a known format.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no artifact at {path}")
    for format in FORMATS.values():
        if format.recognizes(path):
            return format
    folders = [format.files[0] for format in FORMATS.values() if format.files]
    raise ValueError(
        f"{path} is not an artifact in a known format: a .onnx or .tflite file, or a folder with "
        f"one of {folders}"
    )
