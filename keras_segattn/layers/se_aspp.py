"""Squeeze-and-Excitation Atrous Spatial Pyramid Pooling, the context module of Cross-CBAM."""

import keras
from keras import ops

from keras_segattn.layers.aspp import atrous_convolutions
from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import ConvNormAct


@keras.saving.register_keras_serializable(package="keras_segattn")
class SEASPP(CompositeLayer):
    """Context from a few dilated convolutions, combined with channel attention.

    ```
    S = x * sigmoid(fc(ReLU(fc(avgpool(x)))))       # squeeze and excitation
    A = sum_d ReLU(BN(conv_d(x)))                   # conv_1 is 1x1, conv_d is 3x3 with dilation d
    y = ReLU(BN(conv3x3([S, A])))
    ```

    Args:
        filters: Integer, channels of the dilated convolutions and of the output, and hidden units
            of the squeeze and excitation. Defaults to `256`, the paper's choice (Table 6).
        dilations: Sequence of distinct integers, one dilated convolution each. Defaults to
            `(1, 3)`, the paper's choice (Table 5).
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, height, width, filters)`.

    Raises:
        ValueError: If `dilations` is empty, repeats a number or has a number below 1.

    Example:

    >>> x = np.ones((1, 5, 7, 32), "float32")
    >>> tuple(SEASPP(filters=16)(x).shape)
    (1, 5, 7, 16)

    Reference:
        "Cross-CBAM: A Lightweight network for Scene Segmentation" (Zhang et al., 2023), section
        3.3 and figure 6; "Squeeze-and-Excitation Networks" (Hu et al., 2018).

    **Differences from the paper**: none known. The paper does not specify the hidden units of the
    squeeze and excitation, the kernel of the last convolution, or the normalization outside the
    dilated convolutions. Only `filters` units and 3x3 match the parameter counts in Tables 5 and 6.
    The squeeze and excitation has biases and no normalization, as in its authors' code.
    """

    def __init__(self, filters=256, dilations=(1, 3), **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.dilations = tuple(dilations)
        self.average = keras.layers.GlobalAveragePooling2D(
            keepdims=True, dtype=self.dtype_policy, name="average"
        )
        # In float32, like the gates: sums over many channels overflow float16.
        self.squeeze = keras.layers.Dense(
            filters, activation="relu", dtype="float32", name="squeeze"
        )
        self.atrous = atrous_convolutions(filters, self.dilations, self.dtype_policy)
        self.project = ConvNormAct(filters, dtype=self.dtype_policy, name="project")

    def build(self, x_shape):
        channels = x_shape[-1]
        self.excite = keras.layers.Dense(
            channels, activation="sigmoid", dtype="float32", name="excite"
        )
        self.squeeze.build((None, channels))
        self.excite.build((None, self.filters))
        for conv in self.atrous:
            conv.build(x_shape)
        self.project.build((*x_shape[:3], channels + self.filters))

    def call(self, x, training=None):
        weights = self._excitation(x)
        context = sum(conv(x, training=training) for conv in self.atrous)
        # (batch, height, width, channels + filters)
        features = ops.concatenate([x * ops.cast(weights, x.dtype), context], axis=-1)
        return self.project(features, training=training)

    def attention(self, x, pixel=None):
        """Returns the vector of channel weights."""
        return {"channel": self._excitation(x)[:, 0, 0]}

    def _excitation(self, x):
        """Returns the channel weights `(batch, 1, 1, channels)`, in float32."""
        return self.excite(self.squeeze(self.average(x)))

    def compute_output_shape(self, x_shape):
        return (*x_shape[:3], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "dilations": self.dilations}
