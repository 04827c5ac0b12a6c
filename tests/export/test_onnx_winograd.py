import numpy as np
import pytest

from keras_segattn.export.onnx_winograd import winograd_convolutions

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SIZES = [(1, 1), (3, 2), (8, 8), (17, 9), (30, 5)]


def graph_of(rng, *convolutions):
    """Convolutions one after another; of each its channels and attributes."""
    nodes, tensors, name = [], [], "images"
    for number, (channels, filters, attributes) in enumerate(convolutions):
        size = attributes.get("kernel_shape", [3, 3])
        shape = (filters, channels // attributes.get("group", 1), *size)
        kernel = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        inputs = [name, f"kernel{number}", f"bias{number}"]
        for tensor, values in zip(inputs[1:], (kernel, rng.normal(size=filters)), strict=True):
            values = values.astype("float32")
            tensors.append(onnx.numpy_helper.from_array(values, tensor))
        name = f"map{number}"
        nodes.append(onnx.helper.make_node("Conv", inputs, [name], name, **attributes))
    value = onnx.helper.make_tensor_value_info
    images = value("images", 1, ["batch", convolutions[0][0], "height", "width"])
    result = value(name, 1, ["batch", convolutions[-1][1], "rows", "columns"])
    graph = onnx.helper.make_graph(nodes, "convolutions", [images], [result], tensors)
    opset = onnx.helper.make_opsetid("", 17)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)


def run(model, images):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"images": images})[0]


def same(dilation=1, **attributes):
    return {"dilations": [dilation] * 2, "pads": [dilation] * 4, **attributes}


def rewritten(model):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    winograd_convolutions(copy.graph)
    onnx.checker.check_model(copy, full_check=True)
    return copy


@pytest.mark.parametrize(
    "attributes", [*map(same, (1, 2, 3, 4)), {"auto_pad": "SAME_UPPER"}], ids=str
)
def test_result_is_that_of_the_convolution(attributes, rng):
    model = graph_of(rng, (128, 64, attributes))
    other = rewritten(model)
    assert len(other.graph.node) > 1
    for size in SIZES:
        images = rng.normal(size=(2, 128, *size)).astype("float32")
        np.testing.assert_allclose(run(other, images), run(model, images), atol=2e-5)


def products(model, size, folder):
    """Multiplications for each pixel as ONNX Runtime computes them: its graph, once loaded."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "loaded.onnx")
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for dimension, length in zip(
        fixed.graph.input[0].type.tensor_type.shape.dim, size, strict=True
    ):
        dimension.dim_value = length
    onnxruntime.InferenceSession(
        fixed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    graph = onnx.shape_inference.infer_shapes(onnx.load(folder / "loaded.onnx")).graph
    assert all(node.op_type != "MatMul" for node in graph.node)
    kernels = {tensor.name: tensor.dims for tensor in graph.initializer}
    values = (*graph.value_info, *graph.output)
    maps = {value.name: value.type.tensor_type.shape.dim for value in values}
    count = 0
    for node in graph.node:
        if node.op_type == "Conv":
            _, _, height, width = (dimension.dim_value for dimension in maps[node.output[0]])
            count += np.prod(kernels[node.input[1]]) * height * width
    return count / (size[2] * size[3])


def test_products_are_half_and_the_file_no_larger(rng, tmp_path):
    model = graph_of(rng, (256, 128, same()), (128, 128, same()))
    other = rewritten(model)
    images = rng.normal(size=(1, 256, 16, 12)).astype("float32")
    np.testing.assert_allclose(run(other, images), run(model, images), atol=1e-4)
    assert len(other.SerializeToString()) < 1.05 * len(model.SerializeToString())
    plain, fewer = (products(each, images.shape, tmp_path) for each in (model, other))
    assert plain == 9 * 128 * (256 + 128)
    # Nine taps, of six depthwise convolutions for four rows, in the transformation of each channel.
    assert fewer == plain / 2 + 9 * (256 + 128)


@pytest.mark.parametrize(
    ("channels", "filters", "attributes"),
    [
        (96, 128, same()),
        (128, 32, same()),
        (128, 128, same(6)),
        (128, 128, same(group=2)),
        (128, 128, same(group=128)),
        (128, 128, same(strides=[2, 2])),
        (128, 128, {"pads": [0, 0, 0, 0]}),
        (128, 128, {"dilations": [1, 2], "pads": [1, 2, 1, 2]}),
        (128, 128, {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]}),
        (128, 128, {"kernel_shape": [1, 1]}),
        (128, 128, {"auto_pad": "SAME_LOWER"}),
        (128, 128, {"auto_pad": "VALID"}),
    ],
)
def test_other_convolutions_are_left_alone(channels, filters, attributes, rng):
    model = graph_of(rng, (channels, filters, attributes))
    assert rewritten(model) == model
