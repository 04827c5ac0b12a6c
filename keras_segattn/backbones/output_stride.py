"""Dilation instead of strides: larger feature maps from the same weights."""

from keras_segattn.arguments import check_choice

OUTPUT_STRIDES = (8, 16, 32)


def check_output_stride(output_stride):
    """Raises a ValueError if backbones do not support the output stride."""
    check_choice("output_stride", output_stride, OUTPUT_STRIDES)


def dilate(strides, output_stride, stride=4):
    """Replaces block strides by dilation once the output stride is reached.

    A block that loses its stride keeps the dilation of the blocks before it; only later blocks are
    dilated further. Every kernel then reads the same pixels as in the strided network, so each
    pixel of the strided map is also a pixel of the dilated map.

    Args:
        strides: Sequence of the strides of all blocks, in order.
        output_stride: Integer, the largest stride of a feature map: 8, 16 or 32.
        stride: Integer, the stride of the first block's input map. Defaults to `4`.

    Returns:
        List with a pair `(strides, dilations)` for each block.

    Raises:
        ValueError: If `output_stride` is not 8, 16 or 32.

    Example:

    >>> dilate((2, 1, 2, 1), output_stride=8)
    [(2, 1), (1, 1), (1, 1), (1, 2)]
    """
    check_output_stride(output_stride)
    pairs, dilations = [], 1
    for step in strides:
        if step > 1 and stride >= output_stride:
            pairs.append((1, dilations))
            dilations *= step
        else:
            pairs.append((step, dilations))
            stride *= step
    return pairs
