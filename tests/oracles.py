"""The building blocks in plain NumPy, in float64, written from their equations."""

import numpy as np

from keras_segattn.layers.conv_norm_act import BATCH_NORM_EPSILON
from tests.training import to_numpy


def weights(variables):
    return [to_numpy(variable).astype("float64") for variable in variables]


def weights_of(layer):
    """The weights of a layer by their path below it."""
    paths = ["/".join(weight.path.split("/")[1:]) for weight in layer.weights]
    return dict(zip(paths, weights(layer.weights), strict=True))


def conv2d(x, kernel, stride=1, dilation=1):
    """A convolution of maps `(..., height, width, channels)`, padded on every side alike."""
    size = kernel.shape[0]
    height, width = x.shape[-3:-1]
    pad = dilation * (size // 2)
    padded = np.pad(x, [(0, 0)] * (x.ndim - 3) + [(pad, pad), (pad, pad), (0, 0)])
    y = 0.0
    for p in range(size):
        for q in range(size):
            rows = slice(dilation * p, dilation * p + height, stride)
            columns = slice(dilation * q, dilation * q + width, stride)
            y = y + padded[..., rows, columns, :] @ kernel[p, q]
    return y


def depthwise_conv2d(x, kernel, stride=1):
    channels = range(x.shape[-1])
    one = [conv2d(x[..., c : c + 1], kernel[:, :, c : c + 1], stride) for c in channels]
    return np.concatenate(one, axis=-1)


def batch_norm(x, norm, epsilon=BATCH_NORM_EPSILON):
    """What a BatchNormalization with its weights makes of a map at inference."""
    gamma, beta, mean, variance = weights(
        [norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance]
    )
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def conv_norm_act(block, x):
    """What a ConvNormAct or DepthwiseConvNormAct with its weights makes of a map."""
    (kernel,) = weights([block.conv.kernel])
    if block.filters is None:
        y = depthwise_conv2d(x, kernel, block.strides)
    else:
        y = conv2d(x, kernel, block.strides, block.dilations)
    y = batch_norm(y, block.norm)
    return {"relu": relu, "relu6": relu6, "linear": lambda y: y}[block.activation.__name__](y)


def dense(layer, x):
    kernel, bias = weights([layer.kernel, layer.bias])
    return x @ kernel + bias


def relu(x):
    return np.maximum(x, 0)


def relu6(x):
    return np.clip(x, 0, 6)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def nearest(x, height, width):
    """Resizing to the pixel `floor(i * in / out)`."""
    rows = np.arange(height) * x.shape[1] // height
    columns = np.arange(width) * x.shape[2] // width
    return x[:, rows][:, :, columns]
