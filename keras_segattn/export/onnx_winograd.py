"""Winograd 3x3 convolutions in an ONNX graph: fewer products, the same result."""

import math

import numpy as np

from keras_segattn.export.onnx_graph import Replacement, attributes, replace_nodes

# F(4, 3) along an axis: six transformed pixels of the map times the kernel's three taps,
# transformed to six, give four pixels of the result, which would otherwise take twelve products.
# The final sums are in `four_of_six`.
FROM_MAP = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    "float32",
)
# Divided by 24: integers are exact in a float16 file.
FROM_KERNEL = np.array(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], "float32"
)
# With fewer, the transformations cost as much time as the products save. An image's map with at
# most this many numbers, 4 MiB, stays in caches and is transformed faster.
MIN_CHANNELS, MIN_FILTERS = 128, 64
MIN_CHANNELS_SMALL, SMALL_MAP = 64, 2**20
# From here on, the second axis saves more than it costs. A dilation would need too many nodes.
MIN_CHANNELS_BOTH, MIN_FILTERS_BOTH = 512, 256
# Multiply-adds of one image. Below this size the fixed overhead (extra nodes, transformed kernels,
# twice as many for each axis) outweighs the saving.
MIN_PRODUCTS, MIN_PRODUCTS_BOTH = 0.2e9, 3e9
# ONNX Runtime's convolution layout has blocks of 8 or 16 channels and supports only depthwise
# convolutions of whole blocks.
BLOCK = 16
# Pixels are computed in groups of four times the dilation; some of the last group are wasted.
MAX_WASTE, MAX_DILATION = 0.3, 4
HEIGHT, WIDTH = 2, 3


def winograd_convolutions(graph):
    """Rewrites large 3x3 convolutions of stride 1 with half or a quarter of the products.

    Six depthwise convolutions with six vertical taps and stride four transform the map. Each result
    is convolved with one-row kernels, and four sums of these results give the interleaved rows of
    the output. For the largest convolutions, the one-row kernels are treated in the same way along
    the width. With a dilation, pixels form independent sets, and each set is computed separately.
    At the end, a 1x1 depthwise convolution with ones adds the bias. Its result is in ONNX Runtime's
    convolution layout on most CPUs, so maps added to it or concatenated with it can stay in this
    layout.

    The file does not grow, because the kernels are transformed at load time.

    Args:
        graph: ONNX `GraphProto`, changed in place. Batch normalization should already be folded,
            because it cannot be folded into sums. Sizes come from `value_info`; a map of unknown
            height or width counts as large.

    Reference:

    - Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.1.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    values = (*graph.value_info, *graph.output)
    maps = {value.name: value.type.tensor_type.shape.dim for value in values}
    # 0 if unknown.
    sizes = {name: [length.dim_value for length in shape[2:]] for name, shape in maps.items()}

    def replace(node, constants):
        weight = weights.get(node.input[1]) if node.op_type == "Conv" else None
        size = sizes.get(node.output[0]) or [0, 0]
        axes = _axes(node, weight, size) if weight is not None else []
        if not axes:
            return None
        return _Winograd(node, weight, size, axes, constants).finish(node.output[0])

    replace_nodes(graph, replace)


class _Winograd(Replacement):
    """Nodes equivalent to `node`, a convolution with `weight`, on a map of this size."""

    def __init__(self, node, weight, size, axes, constants):
        super().__init__(node, "winograd", constants)
        image, kernel, *bias = node.input
        self.channels = weight.dims[1]
        self.dilation = dilation = _dilations(node)[0]
        row = {"dilations": [1, dilation], "pads": [0, dilation, 0, dilation]}
        self.of_products = {} if WIDTH in axes else row
        result = self.convolve(image, self.kernels(kernel, axes), axes)
        # The last group may extend beyond the edge.
        if any(not length or length % (4 * dilation) for length in size[: len(axes)]):
            first = self.constant([0] * len(axes))
            end = self.add("Shape", image, start=HEIGHT, end=HEIGHT + len(axes))
            result = self.add("Slice", result, first, end, self.constant(axes))
        filters = weight.dims[0]
        ones = self.constant(np.ones((filters, 1, 1, 1), "float32"))
        self.add("Conv", result, ones, *bias, group=filters)

    def kernels(self, kernel, axes):
        """Transforms the kernel to six one-row kernels, or to six lists of six 1x1 kernels."""
        across = FROM_KERNEL if WIDTH in axes else np.eye(3, dtype="float32")
        transform = np.kron(FROM_KERNEL, across)
        # In an order that needs few copies of the large tensor.
        pixels = self.add("Reshape", kernel, self.constant([0, 0, 1, 9]))
        pixels = self.add("Mul", pixels, self.constant(np.float32(24.0 ** -len(axes))))
        pixels = self.add("MatMul", pixels, self.constant(transform.T))
        kernels = self.add("Split", pixels, outputs=6 ** len(axes), axis=3)
        return [kernels[i : i + 6] for i in range(0, 36, 6)] if WIDTH in axes else kernels

    def convolve(self, image, kernel, axes):
        """Convolves along `axes`: six products for the first axis, each covering the other axes."""
        if not axes:
            return self.add("Conv", image, kernel, **self.of_products)
        (axis, *others), groups = axes, [None] * 4 * self.dilation
        for phase in range(self.dilation):
            products = []
            for number, part in enumerate(kernel):
                transformed = self.from_map(image, number, axis, phase)
                products.append(self.convolve(transformed, part, others))
            groups[phase :: self.dilation] = self.four_of_six(*products)
        return self.in_turns(groups, axis)

    def from_map(self, image, number, axis, phase):
        """Transforms the pixels of each group of `4 * dilation` to one of six maps of a phase."""

        def along(length, other):
            return [length, other] if axis == HEIGHT else [other, length]

        taps = FROM_MAP[number].reshape(1, 1, *along(6, 1))
        return self.add(
            "Conv",
            image,
            self.constant(np.tile(taps, (self.channels, 1, 1, 1))),
            group=self.channels,
            dilations=along(self.dilation, 1),
            strides=along(4 * self.dilation, 1),
            # This much padding at the end completes the last group of any map.
            pads=[*along(self.dilation - phase, 0), *along(4 * self.dilation + phase, 0)],
        )

    def four_of_six(self, m0, m1, m2, m3, m4, m5):
        """Sums six products to four pixels of the result."""
        two, four, eight = (self.constant(np.float32(n)) for n in (2, 4, 8))
        near, near_odd = self.add("Add", m1, m2), self.add("Sub", m1, m2)
        far, far_odd = self.add("Add", m3, m4), self.add("Sub", m3, m4)
        return (
            self.add("Add", m0, self.add("Add", near, far)),
            self.add("Add", near_odd, self.add("Mul", far_odd, two)),
            self.add("Add", near, self.add("Mul", far, four)),
            self.add("Add", m5, self.add("Add", near_odd, self.add("Mul", far_odd, eight))),
        )

    def in_turns(self, groups, axis):
        """Interleaves the pixels of maps along an axis: first pixels, then second pixels."""
        if axis == WIDTH:
            inner = self.constant([WIDTH + 1])
            pixels = [self.add("Unsqueeze", group, inner) for group in groups]
            pixels = self.add("Concat", *pixels, axis=WIDTH + 1)
            return self.add("Reshape", pixels, self.constant([0, 0, 0, -1]))
        # Concatenated side by side, rows are interleaved in memory; a reshape is enough.
        rows = self.add("Concat", *groups, axis=WIDTH)
        width = self.add("Shape", groups[0], start=WIDTH, end=WIDTH + 1)
        shape = self.add("Concat", self.constant([0, 0, -1]), width, axis=0)
        return self.add("Reshape", rows, shape)


def _axes(node, weight, size):
    """Returns the axes along which to save products: none, the height, or height and width."""
    filters, channels, *window = weight.dims
    of_node, dilations = attributes(node), _dilations(node)
    if (
        window != [3, 3]
        or of_node.get("group", 1) != 1
        or of_node.get("strides", [1, 1]) != [1, 1]
        or (of_node.get("auto_pad") != b"SAME_UPPER" and of_node.get("pads") != dilations * 2)
        or dilations[0] != dilations[1]
        or dilations[0] > MAX_DILATION
    ):
        return []
    # Unknown lengths are 0.
    pixels = math.prod(size) or math.inf
    products = 9 * channels * filters * pixels
    is_small = channels * pixels <= SMALL_MAP and dilations == [1, 1]
    if (
        channels < (MIN_CHANNELS_SMALL if is_small else MIN_CHANNELS)
        or filters < MIN_FILTERS
        or products < MIN_PRODUCTS
        or channels % BLOCK
        or filters % BLOCK
    ):
        return []
    enough = channels >= MIN_CHANNELS_BOTH and filters >= MIN_FILTERS_BOTH
    both = enough and products >= MIN_PRODUCTS_BOTH and dilations == [1, 1]
    group = 4 * dilations[0]
    height, width = (-length % group <= MAX_WASTE * length for length in size)
    return [HEIGHT, WIDTH] if height and width and both else [HEIGHT] if height else []


def _dilations(node):
    return list(attributes(node).get("dilations", [1, 1]))
