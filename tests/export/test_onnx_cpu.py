"""ONNX files that are rewritten for CPUs."""

import keras
import pytest

from keras_segattn.applications import AttaNet
from keras_segattn.export import export_model
from keras_segattn.layers import CrissCrossAttention
from tests.export.cases import small_network


@pytest.mark.tensorflow
@pytest.mark.parametrize("shape", [(None, None, None), (1, 37, 61)])
def test_onnx_for_processors_resizes_channels_last(shape, rng, tmp_path):
    onnx = pytest.importorskip("onnx")
    images = [rng.integers(0, 256, (37, 61, 3), dtype="uint8")]
    last = {}
    for format in ("onnx", "onnx_cpu"):
        path = tmp_path / f"{format}.onnx"
        report = export_model(
            small_network(AttaNet),
            path,
            format,
            output="logits",
            input_shape=shape,
            images=images,
        )
        assert report.largest_logit_difference < 1e-4
        *_, node = onnx.load(path).graph.node
        assert list(node.output) == ["logits"]
        last[format] = node.op_type
    assert last == {"onnx": "Transpose", "onnx_cpu": "Resize"}


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("format", "dtype", "rewritten"),
    [
        ("onnx", "float32", False),
        ("onnx_cpu", "float32", True),
        ("onnx_cpu", "float16", True),
        ("onnx_cpu", "int8", False),
    ],
)
def test_onnx_for_processors_has_fewer_products(format, dtype, rewritten, rng, tmp_path):
    onnx = pytest.importorskip("onnx")
    images = keras.Input((None, None, 3))
    # As in CCNet, attention after a convolution with channels first.
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(128, 3, padding="same")(x)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = CrissCrossAttention()(x)
    model = keras.Model(images, keras.layers.Conv2D(5, 1, name="logits")(x))
    model.layers[-2].gamma.assign([0.5])
    path = tmp_path / "m.onnx"
    pictures = [rng.integers(0, 256, (9, 14, 3), dtype="uint8") for _ in range(4)]
    arguments = {"dtype": dtype, "preprocessing": False, "least_agreement": 0.2}
    report = export_model(model, path, format, images=pictures, **arguments)
    graph = onnx.load(path).graph
    assert any("winograd" in node.name for node in graph.node) == rewritten
    assert any("by_columns" in node.name for node in graph.node) == (format == "onnx_cpu")
    assert {node.domain for node in graph.node} <= {"", "ai.onnx"}
    if dtype == "float32":
        assert report.largest_logit_difference < 1e-5
    elif rewritten:
        plain = export_model(model, tmp_path / "plain.onnx", "onnx", images=pictures, **arguments)
        assert report.largest_logit_difference < 2 * plain.largest_logit_difference


@pytest.mark.tensorflow
def test_onnx_for_processors_leaves_other_resizing_alone(rng, tmp_path):
    onnx = pytest.importorskip("onnx")
    images = keras.Input((16, 24, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(images)
    x = keras.layers.UpSampling2D(interpolation="bicubic")(x)
    model = keras.Model(images, keras.layers.Conv2D(5, 1)(x))
    pictures = [rng.integers(0, 256, (16, 24, 3), dtype="uint8")]
    path = tmp_path / "m.onnx"
    report = export_model(model, path, "onnx_cpu", preprocessing=False, images=pictures)
    assert report.agreement >= 0.999
    modes = [str(n.attribute) for n in onnx.load(path).graph.node if n.op_type == "Resize"]
    assert len(modes) == 1
    assert "cubic" in modes[0]
