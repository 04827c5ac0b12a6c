"""Winograd's form of 3x3 convolutions in an ONNX graph: fewer products, the same result."""

import math

import numpy as np

from keras_segattn.export.onnx_graph import Replacement, attributes, replace_nodes

# F(4, 3) along an axis: six pixels of the map, transformed, times the kernel's three, transformed
# to six, give four pixels of the result, which would take twelve products. The sums that end it
# are in `four_of_six`.
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
# Over 24: whole numbers keep their values in a file of float16.
FROM_KERNEL = np.array(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], "float32"
)
# With fewer, the transformations take the time that the products save. A map of an image with at
# most so many numbers, 4 MiB, stays in caches, and is transformed faster.
MIN_CHANNELS, MIN_FILTERS = 128, 64
MIN_CHANNELS_SMALL, SMALL_MAP = 64, 2**20
# From here on the second axis saves more than it takes. A dilation would need too many nodes.
MIN_CHANNELS_BOTH, MIN_FILTERS_BOTH = 512, 256
# Multiply-adds of one image. Below this size the fixed overhead (extra nodes, transformed kernels,
# twice as many for each axis) outweighs the saving.
MIN_PRODUCTS, MIN_PRODUCTS_BOTH = 0.2e9, 3e9
# ONNX Runtime's layout for convolutions has blocks of 8 or 16 channels, and only takes depthwise
# convolutions of whole blocks.
BLOCK = 16
# Pixels are computed in groups of four times the dilation: of the last group, some in vain.
MAX_WASTE, MAX_DILATION = 0.3, 4
HEIGHT, WIDTH = 2, 3


def winograd_convolutions(graph):
    """Writes large 3x3 convolutions of stride 1 with half or a quarter of the products.

    Six depthwise convolutions with six taps down and stride four transform the map; each result is
    convolved with kernels of one row; four sums of those are the rows of the result in turns. The
    largest convolutions have their kernels of one row treated so along the width. A dilation sets
    pixels apart that have nothing in common, and each set is computed by itself. A depthwise
    convolution of one pixel, with ones, adds the bias at the end: its result is in the layout that
    ONNX Runtime has for convolutions on most processors, so that maps added to it or joined with it
    can stay there.

    The file becomes no larger, for the kernels are transformed when it is loaded.

    Args:
        graph: ONNX `GraphProto`, changed in place. Batch normalization should be folded already:
            it could not be folded into sums. Sizes are taken from its `value_info`; a map of
            unknown height or width is taken for large.

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
    """Nodes equal to `node`, a convolution with `weight`, on a map of this size."""

    def __init__(self, node, weight, size, axes, constants):
        super().__init__(node, "winograd", constants)
        image, kernel, *bias = node.input
        self.channels = weight.dims[1]
        self.dilation = dilation = _dilations(node)[0]
        row = {"dilations": [1, dilation], "pads": [0, dilation, 0, dilation]}
        self.of_products = {} if WIDTH in axes else row
        result = self.convolve(image, self.kernels(kernel, axes), axes)
        # The last group may reach over the edge.
        if any(not length or length % (4 * dilation) for length in size[: len(axes)]):
            first = self.constant([0] * len(axes))
            end = self.add("Shape", image, start=HEIGHT, end=HEIGHT + len(axes))
            result = self.add("Slice", result, first, end, self.constant(axes))
        filters = weight.dims[0]
        ones = self.constant(np.ones((filters, 1, 1, 1), "float32"))
        self.add("Conv", result, ones, *bias, group=filters)

    def kernels(self, kernel, axes):
        """Transforms the kernel to six of one row, or to six lists of six of one pixel."""
        across = FROM_KERNEL if WIDTH in axes else np.eye(3, dtype="float32")
        transform = np.kron(FROM_KERNEL, across)
        # In an order that keeps few copies of the large tensor of six or 36 parts of nine.
        pixels = self.add("Reshape", kernel, self.constant([0, 0, 1, 9]))
        pixels = self.add("Mul", pixels, self.constant(np.float32(24.0 ** -len(axes))))
        pixels = self.add("MatMul", pixels, self.constant(transform.T))
        kernels = self.add("Split", pixels, outputs=6 ** len(axes), axis=3)
        return [kernels[i : i + 6] for i in range(0, 36, 6)] if WIDTH in axes else kernels

    def convolve(self, image, kernel, axes):
        """Convolves along `axes` by six products for the first, each of which does the others."""
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
        """Transforms every pixel of a group of `4 * dilation` to one of six maps of a phase."""

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
            # So much after them lets the last pixels of any map have a group.
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
        """Puts the pixels of maps along an axis: the first of each, then the second of each."""
        if axis == WIDTH:
            inner = self.constant([WIDTH + 1])
            pixels = [self.add("Unsqueeze", group, inner) for group in groups]
            pixels = self.add("Concat", *pixels, axis=WIDTH + 1)
            return self.add("Reshape", pixels, self.constant([0, 0, 0, -1]))
        # Joined side by side, rows lie in memory in turns: it takes another shape, and no new axis.
        rows = self.add("Concat", *groups, axis=WIDTH)
        width = self.add("Shape", groups[0], start=WIDTH, end=WIDTH + 1)
        shape = self.add("Concat", self.constant([0, 0, -1]), width, axis=0)
        return self.add("Reshape", rows, shape)


def _axes(node, weight, size):
    """The axes along which products are saved: none, the height, or the width too."""
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
