"""The inverted residual block of MobileNetV2 and EfficientNet-Lite."""

import keras

from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.layers.depthwise_conv_norm_act import DepthwiseConvNormAct


def inverted_residual(
    x, filters, expansion, *, kernel_size=3, strides=1, dilations=1, add=False, name, **options
):
    """Expands the channels, filters each of them, and projects them to `filters` channels.

    `y = project(depthwise(expand(x)))`, plus `x` if `add` is true, with ReLU6 after the expansion
    and the depthwise convolution.

    Args:
        x: Keras tensor of shape `(batch, height, width, channels)`.
        filters: Integer, the number of output channels.
        expansion: Integer, the factor of the expansion; `1` means no expansion.
        kernel_size: Odd integer, size of the depthwise kernel. Defaults to `3`.
        strides: Integer, stride of the depthwise convolution. Defaults to `1`.
        dilations: Integer, dilation of the depthwise convolution. Defaults to `1`.
        add: Boolean, whether to add the input. Defaults to `False`.
        name: Prefix of the layer names.
        **options: Further `ConvNormAct` arguments, for all convolutions.

    Returns:
        Keras tensor of shape `(batch, ceil(height / strides), ceil(width / strides), filters)`.
    """
    shortcut = x
    if expansion != 1:
        x = ConvNormAct(
            expansion * x.shape[-1], 1, activation="relu6", name=f"{name}_expand", **options
        )(x)
    x = DepthwiseConvNormAct(
        kernel_size,
        strides=strides,
        dilations=dilations,
        activation="relu6",
        name=f"{name}_depthwise",
        **options,
    )(x)
    x = ConvNormAct(filters, 1, activation=None, name=f"{name}_project", **options)(x)
    return keras.layers.Add(name=f"{name}_add")([shortcut, x]) if add else x
