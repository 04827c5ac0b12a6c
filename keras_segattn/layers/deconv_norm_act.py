"""Transposed convolution to the size of a reference, batch normalization and activation."""

import keras
from keras import ops

from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import batch_norm


@keras.saving.register_keras_serializable(package="keras_segattn")
class DeconvNormAct(CompositeLayer):
    """Transposed 3x3 convolution with stride 2 up to the size of a finer map.

    `y = activation(norm(deconv(x)))`. A stride-2 layer turns both `2n - 1` and `2n` pixels into
    `n`, so its inverse needs the target size. The result has the height and width of `reference`,
    and its pixel `2i` coincides with pixel `i` of `x`.

    Args:
        filters: Integer, the number of output channels.
        activation: Name of an activation, a callable, or `None`. Defaults to `"relu"`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        inputs: Tensor `x` of shape `(batch, n, m, channels)`, whose height and width are doubled;
            or list `[x, reference]` with a tensor of shape `(batch, height, width, any)`, used only
            for its size. `height` must be `2n - 1` or `2n`, or `2n + 1` for a backbone that rounds
            down; `width` likewise.

    Returns:
        Tensor of shape `(batch, height, width, filters)`, or `(batch, 2n, 2m, filters)` without a
        reference.

    Raises:
        ValueError: If stride 2 cannot reach the size of `reference` from the size of `x`.

    Example:

    >>> x, finer = np.ones((1, 5, 6, 8), "float32"), np.ones((1, 9, 12, 3), "float32")
    >>> tuple(DeconvNormAct(4)([x, finer]).shape)
    (1, 9, 12, 4)

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), section 3.3.

    **Differences from the paper**: none. The layer equals PyTorch's
    `ConvTranspose2d(3, stride=2, padding=1)` with the `output_padding` that the size requires.
    Keras's `padding="same"` would shift the map by one pixel relative to a symmetrically padded
    backbone.
    """

    def __init__(self, filters, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.activation = keras.activations.get(activation)
        self.deconv = keras.layers.Conv2DTranspose(
            filters,
            kernel_size=3,
            strides=2,
            padding="valid",
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
            name="deconv",
        )
        self.norm = batch_norm(dtype=self.dtype_policy)
        self.act = keras.layers.Activation(self.activation, dtype=self.dtype_policy, name="act")

    def build(self, input_shape):
        x_shape, (_, *size, _) = self._shapes(input_shape)
        for axis, small, large in zip(("height", "width"), x_shape[1:3], size, strict=True):
            if None not in (small, large) and not 2 * small - 1 <= large <= 2 * small + 1:
                raise ValueError(
                    f"A stride-2 deconvolution of {axis} {small} reaches {2 * small - 1} to "
                    f"{2 * small + 1}, not the reference's {large}. Received shapes {x_shape} "
                    f"and {input_shape[1]}: are they one pyramid level apart?"
                )
        self.deconv.build(x_shape)
        self.norm.build((*x_shape[:3], self.filters))

    def call(self, inputs, training=None):
        if isinstance(inputs, (list, tuple)):
            x, reference = inputs
            height, width = ops.shape(reference)[1:3]
        else:
            x = inputs
            height, width = (2 * size for size in ops.shape(x)[1:3])
        y = self.deconv(x)  # (batch, 2n + 1, 2m + 1, filters)
        # Row 0 lies in the padding of the stride-2 layer; only a map of 2n + 1 rows keeps it.
        top = (ops.shape(y)[1] - height + 1) // 2
        left = (ops.shape(y)[2] - width + 1) // 2
        y = y[:, top : top + height, left : left + width]
        return self.act(self.norm(y, training=training))

    def compute_output_shape(self, input_shape):
        _, size_shape = self._shapes(input_shape)
        return (*size_shape[:3], self.filters)

    def _shapes(self, input_shape):
        """Returns the shape of the map and the shape of a map of the target size."""
        if isinstance(input_shape[0], (list, tuple)):
            return input_shape
        batch, *sizes, channels = input_shape
        return input_shape, (batch, *(size and 2 * size for size in sizes), channels)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "activation": keras.activations.serialize(self.activation),
        }
