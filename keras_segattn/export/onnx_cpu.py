"""ONNX for ONNX Runtime on a processor: the file is faster there than that of `onnx`.

Its `Resize` has the channels last, which ONNX Runtime computes on processors and not on GPUs.
"""

from keras_segattn.export import onnx
from keras_segattn.export.onnx import (  # noqa: F401, this format's own too
    DTYPES,
    EXTRA,
    RUNTIME,
    SUFFIX,
    WRITERS,
    load,
    read_metadata,
)
from keras_segattn.export.onnx_graph import resize_channels_last


def write(served, path, metadata, dtype="float32", calibration=None):
    """Writes an ONNX file as `keras_segattn.export.onnx` does."""
    onnx.write(served, path, metadata, dtype, calibration, rewrites=[resize_channels_last])
