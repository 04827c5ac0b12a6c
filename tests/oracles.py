"""Convolutions and their company in NumPy, in float64 and by loops: slow, and easy to trust."""

import numpy as np

from tests.training import to_numpy


def conv2d(x, kernel, stride=1, dilation=1):
    """A convolution of a map `(height, width, channels)`, padded on every side alike."""
    size, _, _, filters = kernel.shape
    radius = dilation * (size // 2)
    height, width = x.shape[:2]
    y = np.zeros((-(-height // stride), -(-width // stride), filters))
    for i, j in np.ndindex(y.shape[:2]):
        for p, q in np.ndindex(size, size):
            row, column = stride * i + dilation * p - radius, stride * j + dilation * q - radius
            if 0 <= row < height and 0 <= column < width:
                y[i, j] += x[row, column] @ kernel[p, q]
    return y


def depthwise_conv2d(x, kernel, stride=1):
    channels = range(x.shape[-1])
    one = [conv2d(x[:, :, c : c + 1], kernel[:, :, c : c + 1], stride) for c in channels]
    return np.concatenate(one, axis=-1)


def weights(variables):
    return [to_numpy(variable).astype("float64") for variable in variables]


def conv_norm_act(block, x):
    """What a ConvNormAct or DepthwiseConvNormAct with its weights makes of a map."""
    kernel, gamma, beta, mean, variance = weights(
        [
            block.conv.kernel,
            block.norm.gamma,
            block.norm.beta,
            block.norm.moving_mean,
            block.norm.moving_variance,
        ]
    )
    if block.filters is None:
        y = depthwise_conv2d(x, kernel, block.strides)
    else:
        y = conv2d(x, kernel, block.strides, block.dilation_rate)
    y = (y - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    return np.maximum(y, 0) if block.activation.__name__ == "relu" else y


def dense(layer, x):
    kernel, bias = weights([layer.kernel, layer.bias])
    return x @ kernel + bias


def sigmoid(x):
    return 1 / (1 + np.exp(-x))
