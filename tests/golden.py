"""Reference tensors of the authors' code, and their weights put into our layers."""

import keras
import numpy as np

from tests.training import to_numpy

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
NORM["moving_variance"] = "running_var"


def load_golden(path):
    with np.load(path) as arrays:
        return dict(arrays)


def feature_map(arrays, name):
    """The map `name`, channels last."""
    return np.transpose(arrays[f"{name}_nchw"], (0, 2, 3, 1))


def count_weights(arrays):
    """The number of values in all weights, to be sure that none was left out."""
    return sum(array.size for name, array in arrays.items() if name.startswith("w/"))


def assign_conv(conv, arrays, name):
    """Gives a convolution, or a `Dense` layer, the PyTorch convolution `name`."""
    depthwise = isinstance(conv, keras.layers.DepthwiseConv2D)
    axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
    kernel = np.transpose(arrays[f"w/{name}.weight"], axes)
    conv.kernel.assign(kernel[0, 0] if isinstance(conv, keras.layers.Dense) else kernel)
    if conv.use_bias:
        # Where the reference has no bias, ours adds nothing.
        conv.bias.assign(arrays.get(f"w/{name}.bias", np.zeros(conv.bias.shape)))


def assign_norm(norm, arrays, name):
    """Gives a `BatchNormalization` the PyTorch layer `name`."""
    for ours, theirs in NORM.items():
        getattr(norm, ours).assign(arrays[f"w/{name}.{theirs}"])


def assign_block(block, arrays, conv, norm):
    """Gives a `ConvNormAct` a PyTorch convolution and a batch normalization."""
    assign_conv(block.conv, arrays, conv)
    assign_norm(block.norm, arrays, norm)


def assert_close(ours, reference, tolerance=1e-4):
    """Compares with the tolerance scaled by the largest value of the reference."""
    ours = to_numpy(ours)
    assert ours.shape == reference.shape
    scale = max(1.0, np.abs(reference).max())
    np.testing.assert_allclose(ours, reference, rtol=0, atol=tolerance * scale)
