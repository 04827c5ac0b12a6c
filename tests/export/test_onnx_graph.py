import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx.helper import get_node_attr_value, make_node, make_tensor_value_info

from keras_segattn.export.onnx_graph import gather_columns, resize_channels_last
from tests.export.onnx_files import loaded, model_of, operators, rewritten, run

pytestmark = pytest.mark.tensorflow


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


CHANNELS_LAST = ("Transpose", {"perm": [0, 2, 3, 1]})


def enlargement(*readers):
    """A map of twice the size, and its reader."""
    nodes = [make_node("Resize", ["images", "", "scales"], ["map"], "resize", mode="linear")]
    names = [f"y{number}" for number in range(len(readers))]
    for name, (operator, attributes) in zip(names, readers, strict=True):
        nodes.append(make_node(operator, ["map"], [name], name, **attributes))
    model = model_of(nodes, 3, names[0], [("scales", [1, 1, 2, 2])])
    model.graph.output.extend(make_tensor_value_info(name, 1, [None] * 4) for name in names[1:])
    return model


@pytest.mark.parametrize("size", [None, (5, 4)])
def test_resized_with_the_channels_last(size, rng):
    model = enlargement(CHANNELS_LAST)
    other = rewritten(model, resize_channels_last, size)
    assert operators(other) == ["Transpose", "Gather", "Resize"]
    images = rng.normal(size=(2, 3, 5, 4)).astype("float32")
    np.testing.assert_allclose(run(other, images), run(model, images), atol=1e-6)


@pytest.mark.parametrize("other", [CHANNELS_LAST, ("Relu", {})])
def test_resized_with_the_channels_first_for_several_readers(other):
    model = rewritten(enlargement(CHANNELS_LAST, other), resize_channels_last)
    assert operators(model) == ["Resize", "Transpose", other[0]]


def test_a_resized_map_that_is_an_output_is_left_alone():
    model = enlargement(CHANNELS_LAST)
    model.graph.output.append(make_tensor_value_info("map", 1, [None] * 4))
    assert operators(rewritten(model, resize_channels_last)) == ["Resize", "Transpose"]
