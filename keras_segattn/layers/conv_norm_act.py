"""Convolution, batch normalization and activation: the building block of all networks."""

import keras
from keras import ops

from keras_segattn.arguments import check_choice
from keras_segattn.layers.composite_layer import CompositeLayer

# The papers' code uses the defaults of PyTorch's BatchNorm2d; Keras's defaults are 1e-3 and 0.99.
BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.9
PADDINGS = ("symmetric", "asymmetric")


def batch_norm(dtype=None, name="norm", epsilon=BATCH_NORM_EPSILON):
    """Returns a `BatchNormalization` layer with the constants of the papers' code."""
    return keras.layers.BatchNormalization(
        epsilon=epsilon, momentum=BATCH_NORM_MOMENTUM, dtype=dtype, name=name
    )


@keras.saving.register_keras_serializable(package="keras_segattn")
def leaky_relu(x):
    """`x` where positive, `0.01 x` elsewhere: the slope that PyTorch and InPlaceABN use."""
    return ops.leaky_relu(x, negative_slope=0.01)


@keras.saving.register_keras_serializable(package="keras_segattn")
class ConvNormAct(CompositeLayer):
    """2D convolution, batch normalization and activation.

    `y = activation(norm(conv(x)))`, padded by `dilations * (kernel_size // 2)` on **every**
    side, so that a stride of `s` turns `n` pixels into `ceil(n / s)`.

    Args:
        filters: Integer, the number of output channels.
        kernel_size: Odd integer, height and width of the kernel. Defaults to `3`.
        strides: Integer. Defaults to `1`.
        dilations: Integer. Defaults to `1`.
        use_bias: Boolean, whether the convolution has a bias. The normalization cancels it, but
            some checkpoints contain one. Defaults to `False`.
        activation: Name of an activation, a callable, or `None`. Defaults to `"relu"`.
        kernel_initializer: Initializer of the kernel. Defaults to `"he_normal"`.
        padding: `"symmetric"`, as in PyTorch, or `"asymmetric"`, as TensorFlow pads an even size:
            with a stride of 2, one pixel less at the top and left. Defaults to `"symmetric"`.
        epsilon: Float, added to the variance in the normalization. Defaults to `1e-5`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: If `kernel_size` is even, because no symmetric padding exists, or if `padding`
            has a value not listed above.

    Example:

    >>> block = ConvNormAct(16, strides=2)
    >>> tuple(block(np.ones((1, 9, 12, 3), "float32")).shape)
    (1, 5, 6, 16)

    **Differences from the papers**: none. Neither padding is Keras's `"same"`, which with strides
    shifts the feature map by a pixel between even and odd sizes: a network trained on crops of
    320x320 would see every map shifted at 360x480. The normalization uses PyTorch's epsilon 1e-5
    and momentum (0.9 in Keras's convention).
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        strides=1,
        dilations=1,
        use_bias=False,
        activation="relu",
        kernel_initializer="he_normal",
        padding="symmetric",
        epsilon=BATCH_NORM_EPSILON,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(
                f"`kernel_size` must be odd to be padded symmetrically. Received: {kernel_size}"
            )
        check_choice("padding", padding, PADDINGS)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.dilations = dilations
        self.use_bias = use_bias
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.padding = padding
        self.epsilon = epsilon

        # Without strides, "same" is symmetric and avoids a padded copy of the map.
        self.pad = None
        border = dilations * (kernel_size - 1)
        if strides > 1 and border:
            before = border // 2 if padding == "symmetric" else max(0, border + 1 - strides) // 2
            self.pad = keras.layers.ZeroPadding2D(
                ((before, border - before),) * 2, dtype=self.dtype_policy, name="pad"
            )
        self.conv = self._make_conv(
            kernel_size=kernel_size,
            strides=strides,
            dilation_rate=dilations,
            padding="same" if strides == 1 else "valid",
            use_bias=use_bias,
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = batch_norm(dtype=self.dtype_policy, epsilon=epsilon)
        self.act = keras.layers.Activation(self.activation, dtype=self.dtype_policy, name="act")

    def _make_conv(self, **kwargs):
        return keras.layers.Conv2D(
            self.filters, kernel_initializer=self.kernel_initializer, **kwargs
        )

    def build(self, x_shape):
        if self.pad is not None:
            self.pad.build(x_shape)
            x_shape = self.pad.compute_output_shape(x_shape)
        self.conv.build(x_shape)
        self.norm.build(self.conv.compute_output_shape(x_shape))

    def call(self, x, training=None):
        if self.pad is not None:
            x = self.pad(x)
        return self.act(self.norm(self.conv(x), training=training))

    def compute_output_shape(self, x_shape):
        if self.pad is not None:
            x_shape = self.pad.compute_output_shape(x_shape)
        return self.conv.compute_output_shape(x_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "dilations": self.dilations,
            "use_bias": self.use_bias,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "padding": self.padding,
            "epsilon": self.epsilon,
        }
