"""Reference tensors of the authors' code, and their weights put into our layers."""

import keras
import numpy as np

from keras_segattn.layers import ConvNormAct
from tests.training import to_numpy

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
NORM["moving_variance"] = "running_var"


def load_golden(path, in_place_abn=False):
    """Reads a fixture. InPlace-ABN uses the absolute value of its weights plus a small number."""
    with np.load(path) as arrays:
        arrays = dict(arrays)
    if in_place_abn:
        for name, array in arrays.items():
            if name.startswith("w/") and name.endswith(".weight") and array.ndim == 1:
                arrays[name] = np.abs(array) + 1e-5
    return arrays


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


def assign_resnet(model, arrays):
    """Gives a ResNet the weights under torchvision's names."""
    for block in model.layers:
        if isinstance(block, ConvNormAct):
            name = block.name.replace("_", ".")
            if name.endswith("downsample"):
                assign_block(block, arrays, f"{name}.0", f"{name}.1")
            else:
                assign_block(block, arrays, name, name.replace("conv", "bn"))


def assert_close(ours, reference, tolerance=1e-4):
    """Compares with the tolerance scaled by the largest value of the reference."""
    ours = to_numpy(ours)
    assert ours.shape == reference.shape
    scale = max(1.0, np.abs(reference).max())
    np.testing.assert_allclose(ours, reference, rtol=0, atol=tolerance * scale)


def assign_stdc_block(layer, arrays, prefix=""):
    """Gives a block the weights under the names of the STDC authors' code."""
    for i, conv in enumerate(layer.blocks):
        name = f"{prefix}conv_list.{i}"
        assign_block(conv, arrays, f"{name}.conv", f"{name}.bn")
    if layer.strides == 2:
        avd, skip = f"{prefix}avd_layer", f"{prefix}skip"
        assign_block(layer.downsample, arrays, f"{avd}.0", f"{avd}.1")
        if layer.mode == "add":
            assign_block(layer.skip_depthwise, arrays, f"{skip}.0", f"{skip}.1")
            assign_block(layer.skip_pointwise, arrays, f"{skip}.2", f"{skip}.3")


# our block: the convolution of the authors' ResNet-18 network, and of their light one
FUSION_BLOCKS = {"mix": "afm.conv", "project_low": "conv_head16", "project_high": "conv_head32"}
LIGHT_FUSION_BLOCKS = {
    "mix": "afm.conv",
    "reduce_low": "conv_head8",
    "reduce_high": "conv_head16",
    "project_low": "conv_head81",
    "project_high": "conv_head161",
}


def assign_fusion(layer, golden, prefix=""):
    for ours, theirs in (LIGHT_FUSION_BLOCKS if layer.light else FUSION_BLOCKS).items():
        assign_block(getattr(layer, ours), golden, f"{prefix}{theirs}.conv", f"{prefix}{theirs}.bn")
    assign_conv(layer.weigh, golden, f"{prefix}afm.conv_atten")
    assign_norm(layer.norm, golden, f"{prefix}afm.bn_atten")
