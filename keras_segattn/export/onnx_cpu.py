"""ONNX for ONNX Runtime on a CPU, where its latency is lower than the format `onnx` gives."""

from keras_segattn.export.onnx import ONNX
from keras_segattn.export.onnx_graph import gather_columns, resize_channels_last
from keras_segattn.export.onnx_winograd import winograd_convolutions


class ONNXForProcessors(ONNX):
    """An ONNX file that is rewritten for processors.

    Its `Resize` has the channels last, which ONNX Runtime computes on processors and not on GPUs.
    Its large convolutions, except in int8, have fewer products.
    """

    name = "onnx_cpu"
    # The rewrites use attributes of Shape that came with 15, and Split as it was until 17.
    opsets = range(15, 18)

    def rewrites(self, dtype):
        if dtype == "int8":
            # In int8 products cost less, and the sums that replace some would be rounded too.
            return (gather_columns, resize_channels_last)
        return (gather_columns, resize_channels_last, winograd_convolutions)
