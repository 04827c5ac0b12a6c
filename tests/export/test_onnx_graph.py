import numpy as np
import pytest

from keras_segattn.export.onnx_graph import gather_columns

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def transposition(order, size):
    """A graph that rectifies maps of three channels and transposes them."""
    nodes = [
        onnx.helper.make_node("Relu", ["images"], ["map"]),
        onnx.helper.make_node("Transpose", ["map"], ["result"], "transpose", perm=order),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "graph", [value("images", 1, size)], [value("result", 1, [None] * 4)]
    )
    opset = onnx.helper.make_opsetid("", 17)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)


@pytest.mark.parametrize("size", [(2, 3, 5, 4), ("batch", 3, "height", "width")])
def test_columns_are_gathered(size, rng, tmp_path):
    model = transposition([0, 3, 2, 1], size)
    gather_columns(model.graph)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    images = rng.normal(size=(2, 3, 5, 4)).astype("float32")
    (result,) = session.run(None, {"images": images})
    np.testing.assert_array_equal(result, np.maximum(images, 0).transpose(0, 3, 2, 1))
    # ONNX Runtime does not make it a transposition again.
    nodes = onnx.load(tmp_path / "loaded.onnx").graph.node
    assert "Gather" in [node.op_type for node in nodes]
    assert all(
        onnx.helper.get_node_attr_value(n, "perm") != [0, 3, 2, 1]
        for n in nodes
        if n.op_type == "Transpose"
    )


def test_other_transpositions_are_left_alone():
    model = transposition([0, 2, 3, 1], (2, 3, 5, 4))
    gather_columns(model.graph)
    assert [node.op_type for node in model.graph.node] == ["Relu", "Transpose"]
