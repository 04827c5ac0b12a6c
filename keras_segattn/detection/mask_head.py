"""Mask R-CNN head that predicts masks."""

import keras
from keras import ops

from keras_segattn.layers.composite_layer import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_segattn")
class MaskHead(CompositeLayer):
    """Predicts a mask of twice the size for each box and class.

    `logits = conv1x1(ReLU(deconv2x2(y)))`, where `y` is the map of a box after `ReLU(conv3x3(y))`
    four times. Class 0 is the background; its mask exists in checkpoints but is unused.

    Args:
        classes: Integer, the number of classes without the background.
        filters: Integer, channels of all hidden maps. Defaults to `256`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, count, size, size, channels)`.
        classes: Integer tensor of shape `(batch, count)`, the class of each box, from 1.

    Returns:
        float32 logits `(batch, count, 2 * size, 2 * size)` of the masks of these classes.

    Reference:
        "Mask R-CNN" (He et al., 2017), figure 4, right.
    """

    def __init__(self, classes, filters=256, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes
        self.filters = filters

    def build(self, x_shape, classes_shape):
        # PyTorch's kaiming_normal with fan_out, as in maskrcnn-benchmark.
        options = {
            "kernel_initializer": keras.initializers.VarianceScaling(2.0, "fan_out", "normal"),
            "activation": "relu",
            "dtype": self.dtype_policy,
        }
        self.hidden = [
            keras.layers.Conv2D(self.filters, 3, padding="same", name=f"hidden{i}", **options)
            for i in (1, 2, 3, 4)
        ]
        self.upsample = keras.layers.Conv2DTranspose(
            self.filters, 2, strides=2, name="upsample", **options
        )
        options.update(activation=None, dtype="float32")
        self.logits = keras.layers.Conv2D(1 + self.classes, 1, name="classifier", **options)
        shape = (None, *x_shape[2:])
        for layer in (*self.hidden, self.upsample, self.logits):
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, x, classes):
        count, size = x.shape[1], x.shape[2]
        x = ops.reshape(x, (-1, *x.shape[2:]))
        for layer in (*self.hidden, self.upsample, self.logits):
            x = layer(x)
        chosen = ops.one_hot(ops.reshape(classes, (-1,)), 1 + self.classes, dtype="float32")
        # The masks of the other classes are multiplied by zero.
        mask = ops.einsum("nhwk,nk->nhw", x, chosen)
        return ops.reshape(mask, (-1, count, 2 * size, 2 * size))

    def compute_output_spec(self, x, classes):
        return keras.KerasTensor((*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]), "float32")

    def get_config(self):
        return {**super().get_config(), "classes": self.classes, "filters": self.filters}
