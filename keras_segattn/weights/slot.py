"""A variable of a target, and the place of its values in a torch checkpoint."""

from dataclasses import dataclass

import keras
import numpy as np

# From torch's order of a kernel's axes to Keras's.
CONV_AXES = (2, 3, 1, 0)
DEPTHWISE_AXES = (2, 3, 0, 1)
DENSE_AXES = (1, 0)
TORCH_NAMES = {"kernel": "weight", "bias": "bias"}


@dataclass(frozen=True)
class Slot:
    """One variable.

    Attributes:
        path: Path of its layer below the target, such as `"layer1_0_conv1/norm"`.
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
        """The order of torch's axes that is Keras's."""
        if self.variable.name != "kernel":
            return tuple(range(len(self.variable.shape)))
        if isinstance(self.layer, keras.layers.DepthwiseConv2D):
            return DEPTHWISE_AXES
        return DENSE_AXES if isinstance(self.layer, keras.layers.Dense) else CONV_AXES

    @property
    def torch_shape(self):
        return tuple(self.variable.shape[axis] for axis in np.argsort(self.axes))

    def in_torch_shape(self, shape):
        """Returns the shape; a `Dense` layer may get the array of a 1x1 convolution."""
        if self.axes == DENSE_AXES and shape[2:] == (1, 1):
            return shape[:2]
        return shape

    def has_other_channels(self, shape, channels):
        """Returns whether a kernel reads images of three channels, the variable of `channels`."""
        own = self.torch_shape
        return self.axes == CONV_AXES and shape == (own[0], 3, *own[2:]) and own[1] == channels

    def has_other_classes(self, shape):
        """Returns whether the layer has outputs by class, and only their number differs."""
        by_class = self.path == "box_head/deltas" or self.path.rpartition("/")[2] == "classifier"
        return by_class and shape[1:] == self.torch_shape[1:]


def slots_of(layers, naming, prefix=""):
    """The slots of all layers with weights, a dict from their paths, below a prefix."""
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
    """The layers of a target that have variables of their own, with those, by their paths."""
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
        # A backbone is called as its user likes.
        name = "backbone" if isinstance(child, keras.Model) else child.name
        yield from _walk(child, f"{path}/{name}".lstrip("/"))
