import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_segattn.applications import CANet, canet
from keras_segattn.export import export_model
from keras_segattn.export.serving_model import serving_model
from tests.applications.cases import tiny_backbone
from tests.training import randomize


@pytest.fixture
def model(rng):
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    randomize(model, rng)
    return model


@pytest.fixture
def images(rng):
    return [rng.integers(0, 256, (*size, 3), dtype="uint8") for size in ((45, 70), (64, 33))]


def expected(model, image):
    logits = model.predict(canet.preprocess_input(image[None]), verbose=0)
    return logits.argmax(-1)


def test_onnx_takes_any_size_and_batch(model, images, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    assert export_model(model, path, "onnx", images=images) >= 0.999
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (value,) = session.get_inputs()
    assert (value.name, value.type) == ("images", "tensor(uint8)")
    assert value.shape == ["batch", "height", "width", 3]
    for image in images:
        got = session.run(["class_map"], {"images": np.stack([image, image[::-1]])})[0]
        assert got.shape == (2, *image.shape[:2])
        assert got.dtype == "uint8"
        assert np.mean(got[:1] == expected(model, image)) >= 0.999


def test_saved_model_runs_in_a_process_without_this_package(model, images, tmp_path):
    path, arrays = tmp_path / "saved", tmp_path / "arrays.npz"
    assert export_model(model, path, "saved_model", images=images) >= 0.999
    np.savez(arrays, *images)
    script = (
        "import sys, numpy as np, tensorflow as tf\n"
        "serve = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "images = np.load(sys.argv[2])\n"
        "maps = [list(serve(images=tf.constant(images[k][None])).values())[0] for k in images]\n"
        "assert not any(name.startswith('keras') for name in sys.modules if 'segattn' in name)\n"
        "np.savez(sys.argv[2], *[m.numpy() for m in maps])\n"
    )
    command = [sys.executable, "-c", script, str(path), str(arrays)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with np.load(arrays) as maps:
        for image, key in zip(images, maps, strict=True):
            assert np.mean(maps[key] == expected(model, image)) >= 0.999


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_exported_in_float32(dtype, images, rng):
    keras.config.set_dtype_policy(dtype)
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    randomize(model, rng)
    served = serving_model(model, canet.preprocess_input)
    policies = {layer.dtype_policy.name for layer in served.get_layer("canet")._flatten_layers()}
    assert policies == {"float32"}
    got = keras.ops.convert_to_numpy(served(images[0][None]))
    assert np.mean(got == expected(model, images[0])) > 0.9


@pytest.mark.tensorflow
def test_an_artefact_that_disagrees_is_withdrawn(model, images, tmp_path, monkeypatch):
    target = sys.modules["keras_segattn.export.export_model"].FORMATS["onnx"]
    load = target.load
    monkeypatch.setattr(target, "load", lambda path: lambda batch: load(path)(batch[:, ::-1]))
    path = tmp_path / "model.onnx"
    path.write_text("what was here")
    with pytest.raises(RuntimeError, match="gives another class than the model"):
        export_model(model, path, "onnx", images=images)
    assert path.read_text() == "what was here"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.tensorflow
def test_an_earlier_artefact_is_replaced(model, images, tmp_path):
    path = tmp_path / "saved"
    for _ in range(2):
        export_model(model, path, "saved_model", images=images)
    assert [entry.name for entry in tmp_path.iterdir()] == ["saved"]


def test_unknown_format(model, tmp_path):
    with pytest.raises(ValueError, match=r"\['onnx', 'saved_model'\]. Received: 'tflite'"):
        export_model(model, tmp_path / "x", "tflite")
