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
    """A BatchNormalization at inference, with the layer's weights."""
    gamma, beta, mean, variance = weights(
        [norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance]
    )
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def conv_norm_act(block, x):
    """A ConvNormAct or DepthwiseConvNormAct, with the layer's weights."""
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


def attention_fusion(layer, low, high):
    low, high = low.astype("float64"), high.astype("float64")
    height, width = low.shape[1:3]
    if layer.light:
        low, high = conv_norm_act(layer.reduce_low, low), conv_norm_act(layer.reduce_high, high)
    projected_low = conv_norm_act(layer.project_low, low)
    mixed = np.concatenate(
        [low if layer.light else projected_low, nearest(high, height, width)], axis=-1
    )
    pooled = conv_norm_act(layer.mix, mixed).mean(axis=(1, 2), keepdims=True)
    weighed = conv2d(pooled, to_numpy(layer.weigh.kernel).astype("float64"))
    alpha = sigmoid(batch_norm(weighed, layer.norm))
    high = nearest(alpha * conv_norm_act(layer.project_high, high), height, width)
    return high + (1 - alpha) * projected_low, high


def criss_cross_attention(layer, x):
    """Equations 1 and 2, pixel by pixel; the scores in the order of the docstring."""
    x = x.astype("float64")
    batch, height, width, _ = x.shape
    for _ in range(layer.recurrence):
        query, key, value = (
            x @ to_numpy(conv.kernel).astype("float64") + to_numpy(conv.bias)
            for conv in (layer.query, layer.key, layer.value)
        )
        y, scores = np.empty_like(x), np.zeros((batch, height, width, height + width))
        for b, i, j in np.ndindex(batch, height, width):
            # The pixels of the path, and where their scores go: the pixel itself once, in its row.
            path = [(row, j, row) for row in range(height) if row != i]
            path += [(i, column, height + column) for column in range(width)]
            energy = np.array([query[b, i, j] @ key[b, r, c] for r, c, _ in path])
            attention = np.exp(energy - energy.max())
            attention /= attention.sum()
            context = sum(a * value[b, r, c] for a, (r, c, _) in zip(attention, path, strict=True))
            y[b, i, j] = x[b, i, j] + to_numpy(layer.gamma)[0] * context
            scores[b, i, j, [slot for *_, slot in path]] = attention
        x = y
    return x, scores


def strip_attention(layer, x):
    """Every pixel on its own: energies, softmax over the strips, sum of values."""
    if layer.orientation == "horizontal":
        x = x.transpose(0, 2, 1, 3)
    query, key, value = (
        conv_norm_act(block, x.astype("float64")) for block in (layer.query, layer.key, layer.value)
    )
    batch, height, width, _ = x.shape
    y, scores = np.zeros(x.shape), np.zeros((batch, height, width, width))
    for b, h, w in np.ndindex(batch, height, width):
        energies = [query[b, h, w] @ key[b, :, j].mean(axis=0) for j in range(width)]
        scores[b, h, w] = np.exp(energies) / np.exp(energies).sum()
        context = sum(scores[b, h, w, j] * value[b, :, j].mean(axis=0) for j in range(width))
        y[b, h, w] = x[b, h, w] + context
    if layer.orientation == "horizontal":
        y, scores = y.transpose(0, 2, 1, 3), scores.transpose(0, 2, 1, 3)
    return y, scores


def channel_attention(gate, x, literal):
    """Equation 3 of Cross-CBAM: the hidden layer is shared by both poolings."""

    def shared(vector):
        return dense(gate.excite, np.maximum(dense(gate.squeeze, vector), 0))

    total = shared(x.max(axis=(0, 1))) + shared(x.mean(axis=(0, 1)))
    return total if literal else sigmoid(total)


def spatial_attention(gate, x):
    """Equation 4 of Cross-CBAM."""
    kernel, bias = weights([gate.conv.kernel, gate.conv.bias])
    pooled = np.stack([x.max(axis=-1), x.mean(axis=-1)], axis=-1)
    return sigmoid(conv2d(pooled, kernel) + bias)
