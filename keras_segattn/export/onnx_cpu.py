"""ONNX for ONNX Runtime on a CPU, with lower latency than the format `onnx`."""

from keras_segattn.export.onnx import ONNX
from keras_segattn.export.onnx_graph import gather_columns, resize_channels_last
from keras_segattn.export.onnx_winograd import winograd_convolutions


class ONNXForProcessors(ONNX):
    """An ONNX file rewritten for CPUs.

    Its `Resize` is channels-last, which ONNX Runtime supports on CPUs but not on GPUs. Its large
    convolutions, except in int8, need fewer products.
    """

    name = "onnx_cpu"
    # The rewrites use attributes of Shape added in 15, and Split as defined until 17.
    opsets = range(15, 18)

    def rewrites(self, dtype):
        if dtype == "int8":
            # In int8, products are cheap, and the sums that replace them would be rounded.
            return (gather_columns, resize_channels_last)
        return (gather_columns, resize_channels_last, winograd_convolutions)
