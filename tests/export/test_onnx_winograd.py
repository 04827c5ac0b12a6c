import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from keras_segattn.export import onnx_winograd  # noqa: E402
from keras_segattn.export.onnx_winograd import winograd_convolutions  # noqa: E402
from tests.export import onnx_files  # noqa: E402
from tests.export.onnx_files import loaded, model_of, operators, run  # noqa: E402

pytestmark = pytest.mark.tensorflow
SIZES = [(1, 1), (3, 2), (8, 8), (17, 9), (30, 5)]
LAYOUT = "com.microsoft.nchwc"


def convolutions(rng, *layers, bias=True):
    """Convolutions one after another, each of its channels, filters and attributes."""
    nodes, tensors, name = [], [], "images"
    for number, (channels, filters, attributes) in enumerate(layers):
        size = attributes.get("kernel_shape", [3, 3])
        shape = (filters, channels // attributes.get("group", 1), *size)
        kernel = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        own = [(f"kernel{number}", kernel), (f"bias{number}", rng.normal(size=filters))]
        own = own if bias else own[:1]
        inputs, name = [name, *(tensor for tensor, _ in own)], f"map{number}"
        nodes.append(onnx.helper.make_node("Conv", inputs, [name], name, **attributes))
        tensors.extend(own)
    return model_of(nodes, layers[0][0], name, tensors)


def same(dilation=1, **attributes):
    return {"dilations": [dilation] * 2, "pads": [dilation] * 4, **attributes}


def rewritten(model, size=None):
    return onnx_files.rewritten(model, winograd_convolutions, size)


def kernels(model):
    """Returns how many kernels there are instead of one, of each convolution."""
    return [len(node.output) for node in model.graph.node if node.op_type == "Split"]


@pytest.fixture
def few_products_too(monkeypatch):
    monkeypatch.setattr(onnx_winograd, "MIN_PRODUCTS", 0)
    monkeypatch.setattr(onnx_winograd, "MIN_PRODUCTS_BOTH", 0)


def images_of(rng, channels, size, batch=1):
    return rng.normal(size=(batch, channels, *size)).astype("float32")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("channels", "filters", "attributes", "parts"),
    [
        *((128, 64, same(dilation), 6) for dilation in (1, 2, 3, 4)),
        (128, 64, {"auto_pad": "SAME_UPPER"}, 6),
        (512, 256, same(), 36),
        (512, 256, same(2), 6),
    ],
)
def test_result_is_that_of_the_convolution(channels, filters, attributes, parts, bias, rng):
    model = convolutions(rng, (channels, filters, attributes), bias=bias)
    other = rewritten(model)
    assert kernels(other) == [parts]
    for size in SIZES:
        images = images_of(rng, channels, size, batch=2)
        np.testing.assert_allclose(run(other, images), run(model, images), atol=1e-4)


@pytest.mark.usefixtures("few_products_too")
@pytest.mark.parametrize(
    ("channels", "dilation", "size", "parts", "cut"),
    [
        (128, 1, (16, 11), 6, False),
        (128, 1, (15, 12), 6, True),
        (512, 1, (16, 12), 36, False),
        (512, 1, (16, 11), 36, True),
        # More than 0.3 of the columns would be computed in vain, or of the rows.
        (512, 1, (16, 9), 6, False),
        (128, 3, (24, 7), 6, False),
        (128, 3, (20, 7), 6, True),
        (128, 3, (16, 7), None, False),
        (128, 1, (16, None), 6, False),
        (128, 1, (None, 12), 6, True),
        (64, 1, (16, 11), 6, False),
        (512, 1, (16, None), 36, True),
        (512, 1, (None, 12), 36, True),
        (512, 1, (None, 9), 6, True),
    ],
)
def test_known_sizes_are_made_use_of(channels, dilation, size, parts, cut, rng):
    model = convolutions(rng, (channels, 256, same(dilation)))
    other = rewritten(model, size)
    assert kernels(other) == ([parts] if parts else [])
    assert ("Slice" in operators(other)) == cut
    images = images_of(rng, channels, [length or 11 for length in size], batch=2)
    np.testing.assert_allclose(run(other, images), run(model, images), atol=1e-4)


@pytest.mark.parametrize(
    ("channels", "filters", "dilation", "size", "parts"),
    [
        (64, 64, 1, (64, 128), [6]),
        (64, 64, 1, (128, 128), [6]),
        (64, 64, 1, (128, 132), []),
        (64, 64, 2, (128, 128), []),
        (64, 64, 1, (None, 128), []),
        (48, 128, 1, (64, 128), []),
        (128, 128, 1, (24, 64), [6]),
        (128, 128, 1, (16, 64), []),
        (128, 128, 4, (32, 64), [6]),
        (128, 128, 4, (20, 96), []),
        (512, 256, 1, (48, 64), [36]),
        (512, 256, 1, (32, 64), [6]),
        (512, 256, 1, (8, 8), []),
        (512, 256, 1, (8, None), [36]),
        (512, 256, 1, (None, 8), [36]),
    ],
)
def test_axes_depend_on_channels_and_sizes(channels, filters, dilation, size, parts, rng):
    model = convolutions(rng, (channels, filters, same(dilation)))
    assert kernels(rewritten(model, size)) == parts


@pytest.mark.parametrize("join", ["Concat", "Add"])
def test_result_is_in_the_layout_of_convolutions(join, rng, tmp_path):
    model = convolutions(rng, (128, 64, same()), (128, 64, {"kernel_shape": [1, 1]}))
    model.graph.node[1].input[0] = "images"
    node = onnx.helper.make_node
    axis = {"axis": 1} if join == "Concat" else {}
    model.graph.node.extend(
        [
            *(node("Relu", [f"map{n}"], [f"y{n}"], f"y{n}") for n in range(2)),
            node(join, ["y0", "y1"], ["joined"], **axis),
            node("GlobalMaxPool", ["joined"], ["y"]),
        ]
    )
    model.graph.output[0].name = "y"
    other = rewritten(model)
    assert kernels(other) == [6]
    nodes = loaded(other, tmp_path, "ORT_ENABLE_ALL").graph.node
    if all(node.domain != LAYOUT for node in nodes):
        pytest.skip("ONNX Runtime has no layout for convolutions on this processor")
    makers = {node.output[0]: node for node in nodes}
    (read,) = (node.input[0] for node in nodes if node.op_type == "GlobalMaxPool")
    unseen, between = [makers[read]], []
    while unseen:
        found = unseen.pop()
        between.append(found.op_type)
        if found.op_type != "Conv":
            unseen.extend(makers[name] for name in found.input if name in makers)
    assert between.count("Conv") == 2
    # No `ReorderInput` or `ReorderOutput`. An addition is of maps that are seen as rows.
    assert set(between) <= {"Conv", "Reshape", join}


def test_nothing_may_be_known_of_a_map(rng):
    model = convolutions(rng, (128, 64, same()), (64, 8, same()))
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("map0", 1, None))
    assert kernels(rewritten(model)) == [6]


def products(model, size, folder):
    """Multiplications for each pixel as ONNX Runtime computes them."""
    graph = onnx.shape_inference.infer_shapes(loaded(model, folder)).graph
    assert not {"MatMul", "Mul", "Split"}.intersection(
        node.op_type for node in graph.node if "kernel" in node.input[0]
    )
    sizes = {tensor.name: tensor.dims for tensor in graph.initializer}
    values = (*graph.value_info, *graph.output)
    maps = {value.name: value.type.tensor_type.shape.dim for value in values}
    count = 0
    for node in graph.node:
        if node.op_type == "Conv":
            _, _, height, width = (length.dim_value for length in maps[node.output[0]])
            count += np.prod(sizes[node.input[1]]) * height * width
    return count / np.prod(size)


@pytest.mark.usefixtures("few_products_too")
@pytest.mark.parametrize(
    ("channels", "filters", "share", "transformation"),
    # Nine products transform a channel's pixel: six times six taps for each group of four. Along
    # the width, the six maps again, each of a quarter of the pixels. 48 channels are left alone.
    [(48, 128, 1, 0), (256, 128, 1 / 2, 9), (512, 256, 1 / 4, 9 + 9 * 6 / 4)],
)
def test_products_are_fewer_and_the_file_no_larger(
    channels, filters, share, transformation, rng, tmp_path
):
    size = (16, 12)
    model = convolutions(rng, (channels, filters, same()))
    other = rewritten(model, size)
    assert len(other.SerializeToString()) < 1.05 * len(model.SerializeToString())
    expected = share * 9 * filters * channels + transformation * channels
    if share < 1:
        expected += filters  # times one, for the layout
    assert products(other, size, tmp_path) == expected


def test_kernels_may_be_shared(rng):
    model = convolutions(rng, (128, 128, same()), (128, 128, same()))
    model.graph.node[1].input[1] = model.graph.node[0].input[1]
    other = rewritten(model)
    assert kernels(other) == [6, 6]
    images = images_of(rng, 128, (9, 12))
    np.testing.assert_allclose(run(other, images), run(model, images), atol=1e-4)


def test_a_computed_kernel_is_left_alone(rng):
    model = convolutions(rng, (128, 128, same()))
    kernel, _ = model.graph.initializer
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["kernel0"], value=kernel))
    model.graph.initializer.remove(kernel)
    assert operators(rewritten(model)) == ["Constant", "Conv"]


@pytest.mark.parametrize(
    ("channels", "filters", "attributes"),
    [
        (96, 128, same()),
        (128, 32, same()),
        (136, 128, same()),
        (128, 72, same()),
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
    model = convolutions(rng, (channels, filters, attributes))
    assert operators(rewritten(model)) == ["Conv"]
