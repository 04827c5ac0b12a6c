"""ONNX for ONNX Runtime on a processor: the file is faster there than that of `onnx`.

Its `Resize` has the channels last, which ONNX Runtime computes on processors and not on GPUs.
Its large convolutions, except in int8, have fewer products.
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
from keras_segattn.export.onnx_graph import gather_columns, resize_channels_last
from keras_segattn.export.onnx_winograd import winograd_convolutions


def write(served, path, metadata, dtype="float32", calibration=None):
    """Writes an ONNX file as `keras_segattn.export.onnx` does."""
    rewrites = [gather_columns, resize_channels_last]
    # In int8 products cost less, and the sums that replace some would be rounded too.
    if dtype != "int8":
        rewrites.append(winograd_convolutions)
    onnx.write(served, path, metadata, dtype, calibration, rewrites)
