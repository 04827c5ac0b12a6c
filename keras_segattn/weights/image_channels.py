"""Adapts the first convolution of pretrained weights to images without three channels."""

import numpy as np


def adapt_to_channels(kernel, channels, preprocessing=None):
    """Adapts a kernel for three channels to another number of channels.

    More channels repeat the three kernels, red first, each divided by the number of its copies.
    With fewer channels, each gets an equal share of the summed kernel, so a gray image produces the
    same features as its RGB copy.

    The RGB copy is normalized per channel, with three means and deviations; one or two channels are
    normalized with the averages. The kernel and a constant compensate for the difference.

    Args:
        kernel: Array of shape `(height, width, 3, filters)`.
        channels: Integer, the number of channels of the images.
        preprocessing: `Preprocessing` of the weights, for three channels. Defaults to `None`: an
            image then counts as gray if its normalized channels are equal.

    Returns:
        The kernel, of shape `(height, width, channels, filters)`, and the constant to add to its
        output, of shape `(filters,)`. The constant is exact if the kernel lies inside the image. At
        the border, the padding is gray with one channel but has the mean color with three.
    """
    count = kernel.shape[2]
    if channels > count:
        # More than three channels stay in image order, with red first.
        if preprocessing is not None and preprocessing.channel_order == "BGR":
            kernel = kernel[:, :, ::-1]
        index = np.arange(channels) % count
        shares = 1 / np.bincount(index)[index]
        return kernel[:, :, index] * shares[:, None], np.zeros(kernel.shape[-1])
    scale, offset = np.ones(count), np.zeros(count)
    if preprocessing is not None and len(preprocessing.mean) == count:
        mean, deviation = np.array(preprocessing.mean), np.array(preprocessing.std)
        gray = preprocessing.for_channels(1)
        scale = gray.std[0] / deviation
        offset = (gray.mean[0] - mean) / deviation
    summed = np.sum(kernel * scale[:, None], axis=2, keepdims=True)
    constant = np.sum(kernel * offset[:, None], axis=(0, 1, 2))
    return np.repeat(summed / channels, channels, axis=2), constant
