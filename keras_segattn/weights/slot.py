"""A variable of a target and the location of its values in a torch checkpoint."""

from dataclasses import dataclass

import keras
import numpy as np

# Axis order of a kernel, from torch to Keras.
CONV_AXES = (2, 3, 1, 0)
DEPTHWISE_AXES = (2, 3, 0, 1)
DENSE_AXES = (1, 0)
TORCH_NAMES = {"kernel": "weight", "bias": "bias"}


@dataclass(frozen=True)
class Slot:
    """A variable and its key in the checkpoint.

    Attributes:
        path: Path of its layer inside the target, such as `"layer1_0_conv1/norm"`.
        layer: The layer.
        variable: The variable.
        key: Its name in the checkpoint.
    """

    path: str
    layer: keras.layers.Layer
    variable: keras.Variable
    key: str

    @property
    def axes(self):
        """The permutation from torch's axes to Keras's axes."""
        if self.variable.name != "kernel":
            return tuple(range(len(self.variable.shape)))
        if isinstance(self.layer, keras.layers.DepthwiseConv2D):
            return DEPTHWISE_AXES
        return DENSE_AXES if isinstance(self.layer, keras.layers.Dense) else CONV_AXES

    @property
    def torch_shape(self):
        return tuple(self.variable.shape[axis] for axis in np.argsort(self.axes))

    def in_torch_shape(self, shape):
        """Returns the shape in torch; a `Dense` layer may get a 1x1 convolution's array."""
        if self.axes == DENSE_AXES and shape[2:] == (1, 1):
            return shape[:2]
        return shape

    def has_other_channels(self, shape, channels):
        """Returns whether a kernel reads three image channels and the variable reads `channels`."""
        own = self.torch_shape
        return self.axes == CONV_AXES and shape == (own[0], 3, *own[2:]) and own[1] == channels

    def has_other_classes(self, shape):
        """Returns whether the layer has one output per class and only their number differs."""
        by_class = self.path == "box_head/deltas" or self.path.rpartition("/")[2] == "classifier"
        return by_class and shape[1:] == self.torch_shape[1:]


def slots_of(layers, naming, prefix=""):
    """Returns the slots of all layers with weights, as a dict by path, with a prefix."""
    slots = []
    for path, (layer, variables) in layers.items():
        norm = isinstance(layer, keras.layers.BatchNormalization)
        names = naming.norm if norm else TORCH_NAMES
        for variable in variables:
            name = names.get(variable.name, variable.name)
            module = naming.modules[path]
            key = f"{module}.{name}" if module else name
            slots.append(Slot(path, layer, variable, prefix + key))
    return slots


def layers_with_weights(target):
    """Returns the layers of a target that have their own variables, with the variables, by path."""
    return dict(_walk(target, ""))


def _walk(layer, path):
    if isinstance(layer, keras.Model):
        children = layer.layers
    else:
        children = layer._flatten_layers(include_self=False, recursive=False)
    inner = {id(variable) for child in children for variable in child.weights}
    own = [variable for variable in layer.weights if id(variable) not in inner]
    if own:
        yield path, (layer, own)
    for child in children:
        # Users name backbones freely.
        name = "backbone" if isinstance(child, keras.Model) else child.name
        yield from _walk(child, f"{path}/{name}".lstrip("/"))
