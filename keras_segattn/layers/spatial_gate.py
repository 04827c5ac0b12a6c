"""Spatial attention: one weight per pixel."""

import keras
from keras import ops

from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import batch_norm


@keras.saving.register_keras_serializable(package="keras_segattn")
class SpatialGate(CompositeLayer):
    """Spatial attention map, one weight in (0, 1) per pixel.

    ```
    map = sigmoid(norm(conv(x)))                           # squeeze=False (CANet)
    map = sigmoid(conv([max_c(x), mean_c(x)]) + bias)      # squeeze=True  (CBAM, Cross-CBAM)
    ```

    The caller multiplies the features by the map: `x * SpatialGate()(x)`.

    Args:
        kernel_size: Odd integer, height and width of the kernel. Defaults to `3`.
        squeeze: Boolean, whether the convolution reads only the maximum and the mean over the
            channels, with a bias and without normalization. Defaults to `False`: the convolution
            reads all channels, without a bias and with batch normalization.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, height, width, 1)`.

    Example:

    >>> x = np.ones((1, 5, 7, 8), "float32")
    >>> tuple(SpatialGate()(x).shape)
    (1, 5, 7, 1)

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), figure 1(b);
        "CBAM: Convolutional Block Attention Module" (Woo et al., 2018), section 3.

    **Differences from the paper**: none known.
    """

    def __init__(self, kernel_size=3, squeeze=False, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.squeeze = squeeze
        self.conv = keras.layers.Conv2D(
            1,
            kernel_size,
            padding="same",
            use_bias=squeeze,
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = None if squeeze else batch_norm(dtype=self.dtype_policy)

    def build(self, x_shape):
        self.conv.build((*x_shape[:3], 2) if self.squeeze else x_shape)
        if self.norm is not None:
            self.norm.build((*x_shape[:3], 1))

    def call(self, x, training=None):
        if self.squeeze:
            # With height and width in one axis, exports keep the channels last; otherwise ONNX
            # Runtime takes several times as long for these reductions.
            _, height, width, channels = ops.shape(x)
            pixels = ops.reshape(x, (-1, height * width, channels))
            squeezed = ops.stack([ops.max(pixels, axis=-1), ops.mean(pixels, axis=-1)], axis=-1)
            x = ops.reshape(squeezed, (-1, height, width, 2))
        energy = self.conv(x)  # (batch, height, width, 1)
        if self.norm is not None:
            energy = self.norm(energy, training=training)
        return ops.sigmoid(energy)

    def compute_output_shape(self, x_shape):
        return (*x_shape[:3], 1)

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "squeeze": self.squeeze,
        }
