"""Arguments, verification and failures of `export_model`."""

import keras
import pytest

from keras_segattn.export import export_model, read_metadata
from keras_segattn.export.formats import FORMATS
from tests.export.cases import color_network


@pytest.mark.tensorflow
def test_an_artifact_that_disagrees_is_withdrawn(images, tmp_path, monkeypatch):
    model = color_network()
    target = FORMATS["onnx"]
    load = target.load
    monkeypatch.setattr(target, "load", lambda path: lambda batch: load(path)(batch[:, ::-1]))
    path = tmp_path / "model.onnx"
    export_model(model, path, "onnx", images=images, least_agreement=0.0)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="gives another class than the model"):
        export_model(model, path, "onnx", images=images)
    assert path.read_bytes() == before
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["model.onnx", "model.onnx.json", "model.onnx.labels.txt"]
    assert read_metadata(path)["network"] == model.name


@pytest.mark.tensorflow
def test_a_converter_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        raise NotImplementedError("no such operator")

    monkeypatch.setattr(FORMATS["saved_model"], "write", fail)
    with pytest.raises(RuntimeError, match="export to saved_model failed: no such operator"):
        export_model(color_network(), tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("x", {"format": "tflite"}, r"'saved_model', 'onnx'.*Received: 'tflite'"),
        ("x", {"format": "tf_trt"}, "Export format='saved_model' and convert the folder"),
        ("x.onnx", {"format": "onnx", "opset": 19}, r"`opset of onnx` .*17, 18\). Received: 19"),
        ("x", {"opset": 17}, r"`opset of saved_model` must be one of \(None,\)"),
        ("x", {"dtype": "int8"}, r"`dtype of saved_model` must be one of \('float32',\)"),
        ("m.tflite", {"format": "onnx"}, r"requires a file that ends in .onnx. Received: path='"),
        ("m.xml", {"format": "openvino"}, "requires a folder"),
        ("x", {"output": "argmax"}, "must be one of.*Received: 'argmax'"),
        ("x", {"images": []}, "`images` is empty"),
        ("x", {"images": "street.jpg"}, r"must be a data set or a sequence: pass \['street.jpg'\]"),
        ("m.onnx", {"format": "onnx", "dtype": "int8"}, "int8 requires images for calibration"),
        ("x", {"network_size": (16, 64)}, r"`size` must be .* from 32 up.*Received: \(16, 64\)"),
        ("x", {"input_shape": (64, 64)}, r"\(batch, height, width\).*Received: \(64, 64\)"),
    ],
)
def test_wrong_arguments(path, arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_model(color_network(), tmp_path / path, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.tensorflow
def test_a_model_that_lacks_preprocessing_or_has_fixed_sizes(tmp_path):
    image = keras.Input((40, 40, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    with pytest.raises(ValueError, match="does not know its preprocessing; pass `preprocessing`"):
        export_model(model, tmp_path / "x")
    with pytest.raises(ValueError, match=r"only images of \(40, 40\)"):
        export_model(model, tmp_path / "x", preprocessing=False, input_shape=(1, 64, 64))
