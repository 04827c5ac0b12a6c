"""LiteRT files."""

import numpy as np

from keras_segattn.export import export_model
from tests.export.cases import ColorPatches, color_network, needs_runtime


def test_int8_from_every_backend(tmp_path):
    needs_runtime("litert")
    path = tmp_path / "m.tflite"
    report = export_model(
        color_network(),
        path,
        "litert",
        dtype="int8",
        input_shape=(1, 48, 80),
        images=ColorPatches(),
    )
    assert report.agreement >= 0.97
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (image,), (class_map,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (image["shape"].tolist(), image["dtype"]) == ([1, 48, 80, 3], np.uint8)
    assert (class_map["shape"].tolist(), class_map["dtype"]) == ([1, 48, 80], np.uint8)
    kernels = [
        d["dtype"] for d in interpreter.get_tensor_details() if list(d["shape"][1:]) == [3, 3, 3]
    ]
    assert kernels == [np.int8]
