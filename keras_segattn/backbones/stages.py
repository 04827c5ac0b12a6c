"""Finds the pyramid levels of a network that does not name them."""

import math

import keras

# Strides are measured at this image size; it makes rounding and missing padding negligible.
MEASURED_SIZE = 512
# From 97, every stride sees an odd size (97, 49, 25, 13 and 7); from 128, an even size.
ROUNDED_SIZES = (97, 128)
STRIDE_OF_LEVEL = {"P2": 4, "P3": 8, "P4": 16, "P5": 32}
PADDING = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)
PER_CHANNEL = (keras.layers.Activation, keras.layers.ReLU, keras.layers.BatchNormalization)


def levels_by_stride(model):
    """Returns the last feature map of each stride, as a dict of Keras tensors by level.

    A level is the last tensor of its stride that every path through the network passes: the end of
    a stage, with no shortcut around it. 1x1 convolutions that only widen it for the next stage or
    for a classifier are skipped. If shortcuts skip whole blocks, no tensor qualifies; the level is
    then the last sum or concatenation of its stride.

    Args:
        model: A functional `keras.Model` with one input.

    Returns:
        Dict with the keys `"P2"` to `"P5"`, as far as the network has these levels.
    """
    operations = [op for op in model.operations if not isinstance(op, keras.layers.InputLayer)]
    strides = _strides(model, operations)
    position = {id(op): i for i, op in enumerate(operations)}
    last_reader = list(range(len(operations)))
    for i, op in enumerate(operations):
        for parent in _parents(op):
            if id(parent) in position:
                last_reader[position[id(parent)]] = i
    ends, merges, reach = {}, {}, 0
    for i, op in enumerate(operations):
        # No later operation reads the output of an earlier one.
        if reach <= i and not isinstance(op, PADDING):
            ends[strides[i]] = op
        if len(_parents(op)) > 1:
            merges[strides[i]] = op
        reach = max(reach, last_reader[i])
    return {
        level: _before_widening(ends[stride]) if stride in ends else merges[stride].output
        for level, stride in STRIDE_OF_LEVEL.items()
        if stride in ends or stride in merges
    }


def level_sizes(pyramid, height, width):
    """Returns the height and width of each pyramid level for an image size, as a dict of pairs.

    The network is not run. Too small an image raises Keras's ValueError.
    """
    outputs = pyramid.output
    if pyramid.input.shape[1:3] != (height, width):
        image = keras.KerasTensor((1, height, width, pyramid.input.shape[-1]), pyramid.input.dtype)
        outputs = pyramid.compute_output_spec(image)
    return {level: tuple(output.shape[1:3]) for level, output in outputs.items()}


def level_strides(pyramid):
    """Returns the strides of a pyramid's levels, as a dict."""
    height, width = _measured_size(pyramid, MEASURED_SIZE)
    sizes = level_sizes(pyramid, height, width)
    return {level: _stride(height, size[0]) for level, size in sizes.items()}


def rounds_up(pyramid):
    """Returns whether every level rounds its size up to `ceil(height / 2**n)` rows, at any size."""
    return all(
        rows == -(-height // 2 ** int(level[1])) and columns == -(-width // 2 ** int(level[1]))
        for height, width in (_measured_size(pyramid, size) for size in ROUNDED_SIZES)
        for level, (rows, columns) in level_sizes(pyramid, height, width).items()
    )


def _measured_size(pyramid, size):
    """Returns the size to measure at: `size`, or the backbone's fixed input size."""
    return tuple(size if own is None else own for own in pyramid.input.shape[1:3])


def _stride(size, of_map):
    return 2 ** round(math.log2(size / of_map))


def _strides(model, operations):
    """Returns the stride of each operation's output; `None` if the output is not a map."""
    outputs = keras.Model(model.input, [op.output for op in operations])
    image = keras.KerasTensor((1, MEASURED_SIZE, MEASURED_SIZE, model.input.shape[-1]))
    return [
        _stride(MEASURED_SIZE, spec.shape[1])
        if len(spec.shape) == 4 and spec.shape[1] > 1
        else None
        for spec in outputs.compute_output_spec(image)
    ]


def _parents(op):
    tensors = keras.tree.flatten(op.input)
    return [tensor._keras_history.operation for tensor in tensors]


def _before_widening(op):
    """Returns the output of an operation; for a widening 1x1 convolution, its input."""
    end = op.output
    while isinstance(op, PER_CHANNEL):
        (op,) = _parents(op)
    if (
        isinstance(op, keras.layers.Conv2D)
        and tuple(op.kernel_size) == (1, 1)
        and op.filters > op.input.shape[-1]
    ):
        return op.input
    return end
