"""TensorRT, as far as it goes without a GPU."""

import sys

import pytest

from keras_segattn.export import export_model
from tests.export.cases import color_network


@pytest.mark.tensorflow
def test_tensorrt_says_what_is_missing_and_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    message = r"Missing: the Python package `tensorrt`.*trtexec --onnx=model.onnx.*images:1x64x64x3"
    with pytest.raises(RuntimeError, match=message):
        export_model(color_network(), tmp_path / "x", "tensorrt")
