"""Layers in NumPy, in float64 and as loops, written from their equations."""

import numpy as np

from tests.training import to_numpy


def conv2d(x, kernel):
    """Convolution of stride 1, padded to keep the size."""
    batch, height, width, _ = x.shape
    size = kernel.shape[0]
    padded = np.pad(x, ((0, 0), *[(size // 2, size // 2)] * 2, (0, 0)))
    y = np.zeros((batch, height, width, kernel.shape[-1]))
    for i in range(size):
        for j in range(size):
            y += padded[:, i : i + height, j : j + width] @ kernel[i, j]
    return y


def batch_norm(x, norm):
    """Batch normalization at inference, with the variables of a Keras layer."""
    gamma, beta, mean, variance = (
        to_numpy(variable).astype("float64")
        for variable in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def conv_norm_relu(x, block):
    """A `ConvNormAct` with ReLU."""
    kernel = to_numpy(block.conv.kernel).astype("float64")
    return np.maximum(batch_norm(conv2d(x, kernel), block.norm), 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def nearest(x, height, width):
    """Resizing to the pixel `floor(i * in / out)`."""
    y = np.zeros((x.shape[0], height, width, x.shape[3]))
    for i in range(height):
        for j in range(width):
            y[:, i, j] = x[:, i * x.shape[1] // height, j * x.shape[2] // width]
    return y
