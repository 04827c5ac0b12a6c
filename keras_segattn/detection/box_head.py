"""Mask R-CNN head that classifies and refines boxes."""

import math

import keras
from keras import ops

from keras_segattn.layers.composite_layer import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_segattn")
class BoxHead(CompositeLayer):
    """Predicts the class of each box and a box refinement per class.

    `y = ReLU(W2 ReLU(W1 x))`, `logits = W3 y`, `deltas = W4 y` for the flattened map `x` of a box.
    Class 0 is the background.

    Args:
        classes: Integer, the number of classes without the background.
        units: Integer, the size of the two hidden layers. Defaults to `1024`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, count, size, size, channels)`.

    Returns:
        Tuple of float32 tensors `(batch, count, 1 + classes)`, logits, and
        `(batch, count, 1 + classes, 4)`, box encodings with the weights 10, 10, 5 and 5.

    Reference:
        "Feature Pyramid Networks for Object Detection" (Lin et al., 2017), section 4.2.
    """

    def __init__(self, classes, units=1024, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes
        self.units = units

    def build(self, x_shape):
        self.hidden = [
            keras.layers.Dense(
                self.units,
                activation="relu",
                kernel_initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "uniform"),
                dtype=self.dtype_policy,
                name=f"hidden{i}",
            )
            for i in (1, 2)
        ]
        self.hidden[0].build((None, math.prod(x_shape[2:])))
        self.hidden[1].build((None, self.units))
        self.logits = self._output(1 + self.classes, 0.01, "classifier")
        self.deltas = self._output(4 * (1 + self.classes), 0.001, "deltas")

    def _output(self, units, deviation, name):
        normal = keras.initializers.RandomNormal(stddev=deviation)
        layer = keras.layers.Dense(units, kernel_initializer=normal, dtype="float32", name=name)
        layer.build((None, self.units))
        return layer

    def call(self, x):
        count = x.shape[1]
        x = ops.reshape(x, (-1, math.prod(x.shape[2:])))
        for layer in self.hidden:
            x = layer(x)
        logits = ops.reshape(self.logits(x), (-1, count, 1 + self.classes))
        return logits, ops.reshape(self.deltas(x), (-1, count, 1 + self.classes, 4))

    def compute_output_spec(self, x):
        shape = (*x.shape[:2], 1 + self.classes)
        return keras.KerasTensor(shape, "float32"), keras.KerasTensor((*shape, 4), "float32")

    def get_config(self):
        return {**super().get_config(), "classes": self.classes, "units": self.units}
