"""Reference tensors of the authors' code, and their weights put into our layers."""

import numpy as np

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
NORM["moving_variance"] = "running_var"


def load_golden(path):
    with np.load(path) as arrays:
        return dict(arrays)


def assign_conv(conv, arrays, name):
    """Gives a `Conv2D` the PyTorch convolution `name`."""
    conv.kernel.assign(np.transpose(arrays[f"w/{name}.weight"], (2, 3, 1, 0)))
    if conv.use_bias:
        conv.bias.assign(arrays[f"w/{name}.bias"])


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
    scale = max(1.0, np.abs(reference).max())
    np.testing.assert_allclose(np.asarray(ours), reference, rtol=0, atol=tolerance * scale)
