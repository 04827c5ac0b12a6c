"""Reading golden fixtures: inputs, weights and outputs of reference implementations in PyTorch."""

import numpy as np

from keras_segattn.layers import ConvNormAct
from tests.training import to_numpy


class Golden:
    """One fixture; `scale` turns a stored weight of a normalization into its factor."""

    def __init__(self, path, scale=lambda weight: weight):
        with np.load(path) as arrays:
            self.arrays = {key: arrays[key] for key in arrays.files}
        self.scale = scale

    def map(self, name):
        """A feature map, channels last."""
        return np.moveaxis(self.arrays[f"{name}_nchw"], 1, -1)

    def weight(self, name):
        return self.arrays[f"w/{name}"]

    def assign(self, layer, conv, norm=None):
        """Gives a convolution, or a block of one and its normalization, the weights so named."""
        if norm is not None:
            self._assign(layer.norm.gamma, self.scale(self.weight(f"{norm}.weight")))
            self._assign(layer.norm.beta, self.weight(f"{norm}.bias"))
            self._assign(layer.norm.moving_mean, self.weight(f"{norm}.running_mean"))
            self._assign(layer.norm.moving_variance, self.weight(f"{norm}.running_var"))
            layer = layer.conv
        kernel = np.transpose(self.weight(f"{conv}.weight"), (2, 3, 1, 0))
        if len(layer.kernel.shape) == 2:  # a 1x1 convolution as a fully connected layer
            kernel = kernel[0, 0]
        self._assign(layer.kernel, kernel)
        if layer.use_bias:
            self._assign(layer.bias, self.weight(f"{conv}.bias"))

    def assign_resnet(self, model):
        """Gives a ResNet the weights under torchvision's names."""
        for block in model.layers:
            if isinstance(block, ConvNormAct):
                name = block.name.replace("_", ".")
                if name.endswith("downsample"):
                    self.assign(block, f"{name}.0", f"{name}.1")
                else:
                    self.assign(block, name, name.replace("conv", "bn"))

    @staticmethod
    def _assign(variable, value):
        assert tuple(variable.shape) == value.shape, variable.path
        variable.assign(value)


def assert_close(got, want, tolerance=1e-4):
    """Compares within a share of the largest value, as the fixtures' noise asks for."""
    np.testing.assert_allclose(to_numpy(got), want, atol=tolerance * max(1, np.abs(want).max()))
