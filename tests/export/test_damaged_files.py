"""Files that were cut off, changed, or made to read other files."""

import numpy as np
import pytest

from keras_segattn.export import export_model, load_exported
from keras_segattn.export.formats import FORMATS
from keras_segattn.export.onnx_metadata import check_self_contained
from tests.export.cases import PATHS, color_network, needs_runtime

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("format", PATHS)
def test_damaged_artifacts(format, tmp_path):
    needs_runtime(format)
    path = tmp_path / PATHS[format]
    export_model(color_network(), path, format)
    file = path if path.is_file() else path / FORMATS[format].files[0]
    whole = file.read_bytes()
    for content in (b"", b"no model", whole[: len(whole) // 2], whole[:200]):
        file.write_bytes(content)
        for logits in (False, True):
            with pytest.raises(ValueError, match=f"{path} cannot be loaded by.*may be damaged"):
                load_exported(path, logits=logits)
    file.write_bytes(whole)
    if format == "openvino":
        (path / "model.bin").unlink()
        with pytest.raises(ValueError, match=f"{path} cannot be loaded by"):
            load_exported(path)


@pytest.mark.tensorflow
@pytest.mark.parametrize("place", ["initializer", "constant", "subgraph"])
def test_tensors_of_other_files_are_refused(place, tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, value = onnx.helper, onnx.helper.make_tensor_value_info
    tensor = onnx.numpy_helper.from_array(np.ones(2, "float32"), "two")
    constant = helper.make_node("Constant", [], ["two"], value=tensor)
    scaled = helper.make_node("LeakyRelu", ["two"], ["result"], alpha=0.5)
    result = [value("result", 1, [2])]
    if place == "subgraph":
        branch = helper.make_graph([constant, scaled], "branch", [], result)
        condition = helper.make_node("If", ["yes"], ["result"], then_branch=branch)
        graph = helper.make_graph([condition], "graph", [value("yes", 9, [])], result)
        tensor = graph.node[0].attribute[0].g.node[0].attribute[0].t
    elif place == "constant":
        graph = helper.make_graph([constant, scaled], "graph", [], result)
        tensor = graph.node[0].attribute[0].t
    else:
        graph = helper.make_graph([scaled], "graph", [], result, [tensor])
        tensor = graph.initializer[0]
    path = tmp_path / "model.onnx"
    model = helper.make_model(graph)
    path.write_bytes(model.SerializeToString())
    check_self_contained(path)
    kept = model.SerializeToString()
    onnx.external_data_helper.set_external_data(tensor, "secret")
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert path.read_bytes() != kept
    (tmp_path / "secret").write_bytes(bytes(8))
    with pytest.raises(ValueError, match=f"{path} cannot be loaded by.*in another file"):
        load_exported(path, logits=False)
