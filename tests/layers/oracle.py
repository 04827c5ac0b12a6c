"""The building blocks of the layers in plain NumPy, written from their equations."""

import numpy as np

from keras_segattn.layers.conv_norm_act import BATCH_NORM_EPSILON
from tests.training import to_numpy


def weights_of(layer):
    """The weights of a layer by their path below it, as float64."""
    return {
        "/".join(weight.path.split("/")[1:]): to_numpy(weight).astype("float64")
        for weight in layer.weights
    }


def conv(x, kernel, stride=1, dilation=1):
    """Convolution padded by `dilation * (k // 2)` on every side. `x` is (batch, h, w, c)."""
    size = kernel.shape[0]
    pad = dilation * (size // 2)
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = (-(-n // stride) for n in x.shape[1:3])
    y = np.zeros((len(x), height, width, kernel.shape[3]))
    for i in range(height):
        for j in range(width):
            rows = i * stride + dilation * np.arange(size)
            columns = j * stride + dilation * np.arange(size)
            window = padded[:, rows][:, :, columns]
            y[:, i, j] = np.tensordot(window, kernel, axes=3)
    return y


def norm(x, weights, prefix):
    scale = weights[f"{prefix}/gamma"] / np.sqrt(
        weights[f"{prefix}/moving_variance"] + BATCH_NORM_EPSILON
    )
    return (x - weights[f"{prefix}/moving_mean"]) * scale + weights[f"{prefix}/beta"]


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))
