"""int8 ONNX graphs that ONNX Runtime computes in int8."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import CANet, SegmentationModel
from keras_segattn.export import export_model
from keras_segattn.export.onnx_quantization import write_as_convolutions
from keras_segattn.layers import ResizeLike, STDCBlock
from keras_segattn.weights import Preprocessing
from tests.export.cases import ColorPatches, small_network
from tests.training import randomize

TRANSPOSED = [
    {"strides": [2, 2], "kernel": (3, 3)},
    {"strides": [2, 2], "kernel": (4, 4), "pads": [1, 1, 1, 1]},
    {"strides": [2, 2], "kernel": (2, 5), "pads": [0, 2, 0, 1], "bias": True},
    {"strides": [3, 3], "kernel": (3, 1), "bias": True},
]
LEFT_ALONE = [
    {"strides": [1, 1], "kernel": (3, 3)},
    {"strides": [2, 1], "kernel": (3, 3)},
    {"strides": [2, 2], "kernel": (3, 3), "output_padding": [1, 1]},
    {"strides": [2, 2], "kernel": (3, 3), "dilations": [2, 2]},
    {"strides": [2, 2], "kernel": (3, 3), "auto_pad": "SAME_UPPER"},
]
POOLING = [
    ({"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, ["Conv"]),
    ({"kernel_shape": [2, 3], "strides": [2, 1]}, ["Conv"]),
    ({"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, ["AveragePool"]),
    ({"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, ["AveragePool"]),
]


def before_and_after(node, weights, rng):
    """Runs a graph of one node before and after the rewrite; returns both and the operators."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    helper, shape = onnx.helper, [None, 6, None, None]
    image, result = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in "xy"
    )
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph([node], "graph", [image], [result], constants)
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    x, found = rng.normal(size=(2, 6, 5, 7)).astype("float32"), []
    for rewrite in (lambda graph: None, write_as_convolutions):
        rewrite(model.graph)
        onnx.checker.check_model(model)
        session = runtime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        found += session.run(None, {"x": x})
    read = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= read
    return *found, [node.op_type for node in model.graph.node]


@pytest.mark.tensorflow
@pytest.mark.parametrize("case", TRANSPOSED + LEFT_ALONE)
def test_transposed_convolutions_are_convolutions(case, rng):
    onnx = pytest.importorskip("onnx")
    attributes = dict(case)
    weights = {"w": rng.normal(size=(6, 4, *attributes.pop("kernel"))).astype("float32")}
    if attributes.pop("bias", False):
        weights["b"] = rng.normal(size=4).astype("float32")
    node = onnx.helper.make_node("ConvTranspose", ["x", *weights], ["y"], **attributes)
    before, after, operators = before_and_after(node, weights, rng)
    np.testing.assert_allclose(after, before, atol=1e-5)
    rewritten = ["Conv", "DepthToSpace", "Slice"]
    assert operators == (rewritten if case in TRANSPOSED else ["ConvTranspose"])


@pytest.mark.tensorflow
@pytest.mark.parametrize(("attributes", "operators"), POOLING)
def test_average_pooling_is_a_convolution(attributes, operators, rng):
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("AveragePool", ["x"], ["y"], **attributes)
    before, after, found = before_and_after(node, {}, rng)
    np.testing.assert_allclose(after, before, atol=1e-6)
    assert found == operators


def pooled_and_added():
    """Maps with several readers, and Cross-CBAM's average pooling."""
    images = keras.Input((None, None, 3))
    x = STDCBlock(16, strides=2)(images)
    x = keras.layers.Add()([x, keras.layers.Conv2D(16, 3, padding="same", activation="relu")(x)])
    x = ResizeLike(name="logits")([keras.layers.Conv2D(3, 1)(x), images])
    preprocessing = Preprocessing([0.5] * 3, [0.25] * 3)
    return SegmentationModel(images, x, preprocessing=preprocessing, class_names=tuple("rgb"))


@pytest.mark.tensorflow
@pytest.mark.parametrize("network", [pooled_and_added, lambda: small_network(CANet)])
@pytest.mark.parametrize("format", ["onnx", "onnx_cpu"])
def test_every_convolution_is_computed_in_int8(network, format, rng, tmp_path):
    runtime, model = pytest.importorskip("onnxruntime"), network()
    onnx = pytest.importorskip("onnx")
    randomize(model, rng)
    arguments = {"dtype": "int8", "images": ColorPatches(), "least_agreement": 0.5}
    export_model(model, tmp_path / "m.onnx", format, **arguments)
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    runtime.InferenceSession(tmp_path / "m.onnx", options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "optimized.onnx").graph
    computed = {node.op_type for node in graph.node}
    assert "QLinearConv" in computed
    assert not computed & {"Conv", "FusedConv", "ConvTranspose", "QLinearAveragePool"}


@pytest.mark.tensorflow
def test_calibration_has_no_arena(tmp_path, monkeypatch):
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate")
    collect, seen = calibrate.MinMaxCalibrater.collect_data, []

    def collect_data(self, reader):
        seen.append(self.infer_session.get_session_options().enable_cpu_mem_arena)
        collect(self, reader)

    monkeypatch.setattr(calibrate.MinMaxCalibrater, "collect_data", collect_data)
    images = [np.zeros((64, 64, 3), "uint8"), np.full((64, 64, 3), 255, "uint8")]
    model = small_network(CANet, up_channels=8)
    export_model(model, tmp_path / "a.onnx", "onnx", dtype="int8", images=images, least_agreement=0)
    assert seen == [False]
