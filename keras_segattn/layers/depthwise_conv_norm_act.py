"""Depthwise convolution, batch normalization and activation."""

import keras

from keras_segattn.layers.conv_norm_act import ConvNormAct


@keras.saving.register_keras_serializable(package="keras_segattn")
class DepthwiseConvNormAct(ConvNormAct):
    """Depthwise 2D convolution, batch normalization and activation.

    `y = activation(norm(depthwise_conv(x)))`, one filter per channel, padded like `ConvNormAct`.

    Args:
        kernel_size: Odd integer, height and width of the kernel. Defaults to `3`.
        strides: Integer. Defaults to `1`.
        dilations: Integer. Defaults to `1`.
        use_bias: Boolean, whether the convolution has a bias. Defaults to `False`.
        activation: Name of an activation, a callable, or `None`. Defaults to `"relu"`.
        kernel_initializer: Initializer of the kernel. Defaults to `"he_normal"`.
        padding: `"symmetric"` or `"asymmetric"`, as in `ConvNormAct`. Defaults to `"symmetric"`.
        epsilon: Float, added to the variance in the normalization. Defaults to `1e-5`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, ceil(height / strides), ceil(width / strides), channels)`.

    Raises:
        ValueError: If `kernel_size` is even, or `padding` has a value not listed above.

    Example:

    >>> block = DepthwiseConvNormAct(strides=2, activation="relu6")
    >>> tuple(block(np.ones((1, 9, 12, 4), "float32")).shape)
    (1, 5, 6, 4)

    **Differences from the papers**: none.
    """

    def __init__(self, kernel_size=3, **kwargs):
        super().__init__(filters=None, kernel_size=kernel_size, **kwargs)

    def _make_conv(self, **kwargs):
        return keras.layers.DepthwiseConv2D(depthwise_initializer=self.kernel_initializer, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["filters"]
        return config
