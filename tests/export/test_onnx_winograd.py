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


def rewritten(model, size=None):
    """The model with fewer products, whose writer knows the size of the maps or does not."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    if size:
        shape = other.graph.input[0].type.tensor_type.shape.dim
        for dimension, length in zip(shape[2:], size, strict=True):
            dimension.dim_value = length
        other = onnx.shape_inference.infer_shapes(other)
    winograd_convolutions(other.graph)
    onnx.checker.check_model(other, full_check=True)
    return other


def operators(model):
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(
    ("channels", "filters", "attributes"),
    [
        *((128, 64, same(dilation)) for dilation in (1, 2, 3, 4)),
        (128, 64, {"auto_pad": "SAME_UPPER"}),
        (512, 256, same()),
        (512, 256, same(2)),
    ],
)
def test_result_is_that_of_the_convolution(channels, filters, attributes, rng):
    model = graph_of(rng, (channels, filters, attributes))
    other = rewritten(model)
    assert len(other.graph.node) > 1
    for size in SIZES:
        images = rng.normal(size=(2, channels, *size)).astype("float32")
        np.testing.assert_allclose(run(other, images), run(model, images), atol=1e-4)


@pytest.mark.parametrize("channels", [128, 512])
def test_maps_of_known_size_are_only_cut_if_groups_reach_over_them(channels, rng):
    model = graph_of(rng, (channels, 256, same()), (256, 32, same()))
    images = rng.normal(size=(1, channels, 16, 12)).astype("float32")
    fitting = rewritten(model, (16, 12))
    assert "Slice" not in operators(fitting)
    for other in (fitting, rewritten(model)):
        np.testing.assert_allclose(run(other, images), run(model, images), atol=1e-4)
    assert "Slice" in operators(rewritten(model, (15, 12)))
    # The width is only grouped with very many channels.
    assert ("Slice" in operators(rewritten(model, (16, 11)))) == (channels == 512)


@pytest.mark.parametrize(("height", "gains"), [(24, True), (20, True), (16, False), (13, False)])
def test_low_maps_with_a_dilation_are_left_alone(height, gains, rng):
    model = graph_of(rng, (128, 128, same(3)), (128, 32, same()))
    assert ("Split" in operators(rewritten(model, (height, 40)))) == gains


def products(model, size, folder):
    """Multiplications for each pixel as ONNX Runtime computes them: its graph, once loaded."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "loaded.onnx")
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    graph = onnx.shape_inference.infer_shapes(onnx.load(folder / "loaded.onnx")).graph
    assert all(node.op_type not in ("MatMul", "Split") for node in graph.node)
    kernels = {tensor.name: tensor.dims for tensor in graph.initializer}
    values = (*graph.value_info, *graph.output)
    maps = {value.name: value.type.tensor_type.shape.dim for value in values}
    count = 0
    for node in graph.node:
        if node.op_type == "Conv":
            _, _, height, width = (dimension.dim_value for dimension in maps[node.output[0]])
            count += np.prod(kernels[node.input[1]]) * height * width
    return count / np.prod(size)


@pytest.mark.parametrize(
    ("channels", "filters", "share", "transformation"),
    # Nine products transform a channel's pixel: six times six taps for each group of four. Along
    # the width, the six maps again, each of a quarter of the pixels.
    [(256, 128, 1 / 2, 9), (512, 256, 1 / 4, 9 + 9 * 6 / 4)],
)
def test_products_are_fewer_and_the_file_no_larger(
    channels, filters, share, transformation, rng, tmp_path
):
    size = (16, 12)
    model = graph_of(rng, (channels, filters, same()), (filters, 32, same()))
    other = rewritten(model, size)
    assert len(other.SerializeToString()) < 1.05 * len(model.SerializeToString())
    left_alone = 9 * filters * 32
    assert products(rewritten(graph_of(rng, (96, 32, same())), size), size, tmp_path) == 9 * 96 * 32
    assert products(other, size, tmp_path) == (
        share * 9 * filters * channels + transformation * channels + left_alone
    )


def test_kernels_may_be_shared(rng):
    model = graph_of(rng, (128, 128, same()), (128, 128, same()))
    model.graph.node[1].input[1] = model.graph.node[0].input[1]
    images = rng.normal(size=(1, 128, 9, 12)).astype("float32")
    np.testing.assert_allclose(run(rewritten(model), images), run(model, images), atol=1e-4)


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
    assert operators(rewritten(model)) == ["Conv"]
