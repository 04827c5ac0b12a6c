import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx.helper import get_node_attr_value, make_node

from keras_segattn.export.onnx_graph import gather_columns
from tests.export.onnx_files import loaded, model_of, operators, rewritten, run


def transposition(order):
    rectified = make_node("Relu", ["images"], ["map"])
    return model_of([rectified, make_node("Transpose", ["map"], ["y"], perm=order)], 3, "y")


@pytest.mark.parametrize("size", [None, (5, 4)])
def test_columns_are_gathered(size, rng, tmp_path):
    model = rewritten(transposition([0, 3, 2, 1]), gather_columns, size)
    images = rng.normal(size=(2, 3, 5, 4)).astype("float32")
    expected = np.maximum(images, 0).transpose(0, 3, 2, 1)
    np.testing.assert_array_equal(run(model, images), expected)
    # ONNX Runtime does not make it a transposition again.
    nodes = loaded(model, tmp_path).graph.node
    orders = [get_node_attr_value(n, "perm") for n in nodes if n.op_type == "Transpose"]
    assert orders
    assert [0, 3, 2, 1] not in orders


def test_other_transpositions_are_left_alone():
    model = rewritten(transposition([0, 2, 3, 1]), gather_columns)
    assert operators(model) == ["Relu", "Transpose"]
