"""Winograd's form of the 3x3 convolutions of an ONNX graph: half the products, the same result."""

import numpy as np

from keras_segattn.export.onnx_graph import attributes

# F(4, 3) along the height: six rows of the map, transformed, times six transformed rows of the
# kernel give four rows of the result, which would take twelve products.
FROM_MAP = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
FROM_KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]])
FROM_KERNEL = FROM_KERNEL / 24
# With fewer, the transformations take the time that the products save.
MIN_CHANNELS, MIN_FILTERS = 128, 64
# The rows are computed in groups of four times the dilation: of the last group, some in vain.
MAX_WASTE, MAX_DILATION = 0.3, 4


def winograd_convolutions(graph):
    """Writes 3x3 convolutions with half the products: those of stride 1 with many channels.

    Six depthwise convolutions with six taps down and stride four transform the map; each result is
    convolved with kernels of one row; four sums of those are the rows of the result in turns. A
    dilation sets rows apart that have nothing in common, and each set is computed by itself. The
    kernels are transformed by ONNX Runtime when it loads the file, which becomes no larger.

    Args:
        graph: ONNX `GraphProto`, changed in place. Batch normalization should be folded already:
            it could not be folded into sums. Heights are taken from its `value_info`, and may be
            unknown.

    Reference:

    - Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.1,
      along one axis.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    maps = {value.name: value.type.tensor_type.shape.dim for value in graph.value_info}
    # 0 if it is unknown.
    heights = {name: shape[2].dim_value for name, shape in maps.items() if len(shape) == 4}
    nodes, constants = [], {}
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "Conv" else None
        height = heights.get(node.output[0], 0)
        if weight is not None and _has_gain(node, weight, height):
            builder = _Builder(node.name, constants)
            _winograd(builder, node, weight, height)
            nodes.extend(builder.nodes)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend((*tensors, *constants.values()))


class _Builder:
    """Collects nodes, named after the one that they replace, and the constants of the graph."""

    def __init__(self, prefix, constants):
        self.prefix, self.constants, self.nodes = prefix, constants, []

    def constant(self, name, values):
        from onnx import numpy_helper

        name = f"winograd_{name}"
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def add(self, operator, *inputs, outputs=1, **attributes):
        from onnx import helper

        name = f"{self.prefix}_winograd_{len(self.nodes)}"
        names = [name] + [f"{name}_{number}" for number in range(1, outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name, **attributes))
        return names if outputs > 1 else name


def _has_gain(node, weight, height):
    if len(weight.dims) != 4:
        return False
    filters, channels, *size = weight.dims
    of_node, dilations = attributes(node), _dilations(node)
    return (
        size == [3, 3]
        and channels >= MIN_CHANNELS
        and filters >= MIN_FILTERS
        and of_node.get("group", 1) == 1
        and of_node.get("strides", [1, 1]) == [1, 1]
        and dilations[0] == dilations[1] <= MAX_DILATION
        and -height % (4 * dilations[0]) <= MAX_WASTE * height
        and (of_node.get("auto_pad") == b"SAME_UPPER" or of_node.get("pads") == dilations * 2)
    )


def _winograd(builder, node, weight, height):
    """Adds the nodes that compute what `node`, a convolution with `weight`, does."""
    image, biases = node.input[0], node.input[2:]
    dilation = _dilations(node)[0]
    kernels = _kernels(builder, weight)
    rows = [None] * 4 * dilation
    for phase in range(dilation):
        products = []
        for number, kernel in enumerate(kernels):
            # A row of the result has the second product once, and with it the bias.
            bias = biases if number == 1 else []
            transformed = _from_map(builder, image, weight.dims[1], number, dilation, phase)
            products.append(
                builder.add(
                    "Conv",
                    transformed,
                    kernel,
                    *bias,
                    kernel_shape=[1, 3],
                    dilations=[1, dilation],
                    pads=[0, dilation, 0, dilation],
                )
            )
        rows[phase::dilation] = _to_rows(builder, *products)
    width = builder.add("Shape", image, start=3, end=4)
    shape = builder.add("Concat", builder.constant("rows", [0, 0, -1]), width, axis=0)
    result = builder.add("Reshape", builder.add("Concat", *rows, axis=3), shape)
    if not height or height % len(rows):
        first, axis = builder.constant("first", [0]), builder.constant("height", [2])
        builder.add("Slice", result, first, builder.add("Shape", image, start=2, end=3), axis)
    builder.nodes[-1].output[0] = node.output[0]


def _kernels(builder, weight):
    """Transforms `(filters, channels, 3, 3)` to six of `(filters, channels, 1, 3)`."""
    from onnx import numpy_helper

    filters, channels = weight.dims[:2]
    by_row = numpy_helper.to_array(weight).transpose(2, 0, 1, 3).reshape(3, -1)
    six = builder.add(
        "MatMul",
        builder.constant("from_kernel", FROM_KERNEL.astype("float32")),
        builder.constant(weight.name, by_row),
    )
    shape = builder.constant(f"kernels_{filters}_{channels}", [6 * filters, channels, 1, 3])
    return builder.add("Split", builder.add("Reshape", six, shape), outputs=6, axis=0)


def _from_map(builder, image, channels, number, dilation, phase):
    """Transforms the rows of one phase, of `4 * dilation` rows one."""
    taps = np.tile(FROM_MAP[number].astype("float32")[:, None], (channels, 1, 1, 1))
    return builder.add(
        "Conv",
        image,
        builder.constant(f"from_map_{number}_{channels}", taps),
        group=channels,
        kernel_shape=[6, 1],
        dilations=[dilation, 1],
        strides=[4 * dilation, 1],
        # By so much below, the last rows of a map of any height are still in a group.
        pads=[dilation - phase, 0, 4 * dilation + phase, 0],
    )


def _to_rows(builder, *products):
    """Sums the six products to four rows of the result."""
    add, factors = builder.add, {n: builder.constant(f"{n}", np.float32(n)) for n in (2, 4, 8)}
    m0, m1, m2, m3, m4, m5 = products
    near, near_odd = add("Add", m1, m2), add("Sub", m1, m2)
    far, far_odd = add("Add", m3, m4), add("Sub", m3, m4)
    return (
        add("Add", m0, add("Add", near, far)),
        add("Add", near_odd, add("Mul", far_odd, factors[2])),
        add("Add", near, add("Mul", far, factors[4])),
        add("Add", m5, add("Add", near_odd, add("Mul", far_odd, factors[8]))),
    )


def _dilations(node):
    return list(attributes(node).get("dilations", [1, 1]))
