"""Short-Term Dense Concatenate block, the building block of STDC backbones."""

import keras
from keras import ops

from keras_segattn.arguments import check_choice
from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.layers.depthwise_conv_norm_act import DepthwiseConvNormAct

MODES = ("cat", "add")


@keras.saving.register_keras_serializable(package="keras_segattn")
class STDCBlock(CompositeLayer):
    """Short-Term Dense Concatenate block: a chain of convolutions whose outputs are concatenated.

    ```
    x1 = ReLU(BN(conv1x1(x)))                        # filters / 2
    xi = ReLU(BN(conv3x3(x(i-1))))                   # filters / 2^i; the last as many as before it
    y  = [x1, x2, ..., xn]                           # "cat"; "add": [x1, x2, ..., xn] + x
    ```

    With `strides=2`, `x2` reads `D = BN(depthwise3x3(x1))` at half the size. In "cat", `y` then
    contains `avgpool3x3(x1)` instead of `x1`. In "add", it contains `D`, and `x` becomes
    `BN(conv1x1(BN(depthwise3x3(x))))`.

    Args:
        filters: Integer, the number of output channels.
        strides: `1` or `2`. Defaults to `1`.
        convs: Integer, at least 2, the number of chained convolutions. Defaults to `4`, the paper's
            choice.
        mode: `"cat"`, or `"add"` for a residual connection. Defaults to `"cat"`, as in the
            published backbones.
        dilations: Integer, dilation of all 3x3 kernels. Defaults to `1`.
        keep_size: Boolean, whether to replace the stride of 2 by dilation: the depthwise
            convolutions and the pooling keep the size, and the convolutions after them use twice
            the dilation. The weights have the same shapes. Defaults to `False`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, ceil(height / strides), ceil(width / strides), filters)`, or
        `(batch, height, width, filters)` with `keep_size=True`.

    Raises:
        ValueError: If an argument has a value not listed above, if `filters` is not a multiple of
            `2 ** (convs - 1)`, if `dilations` or `keep_size` does not fit `strides`, or if
            `mode="add"` with `strides=1` gets an input that does not have `filters` channels.

    Example:

    >>> x = np.ones((1, 9, 12, 16), "float32")
    >>> tuple(STDCBlock(32, strides=2)(x).shape)
    (1, 5, 6, 32)

    Reference:
        "Rethinking BiSeNet For Real-time Semantic Segmentation" (Fan et al., 2021), section 3.1,
        as used by "Cross-CBAM" (Zhang et al., 2023), section 3.1, equation 1 and figure 2.

    **Differences from the paper**: none; "add" and the depthwise convolution, which figure 2 of
    Cross-CBAM omits, follow the STDC authors' code.
    """

    def __init__(
        self, filters, strides=1, convs=4, mode="cat", dilations=1, keep_size=False, **kwargs
    ):
        super().__init__(**kwargs)
        if strides not in (1, 2):
            raise ValueError(f"`strides` must be 1 or 2. Received: {strides}")
        if convs < 2:
            raise ValueError(f"`convs` must be at least 2. Received: {convs}")
        if filters % 2 ** (convs - 1):
            raise ValueError(
                f"`filters` is halved {convs - 1} times with convs={convs}, and must be a multiple "
                f"of {2 ** (convs - 1)}. Received: {filters}"
            )
        check_choice("mode", mode, MODES)
        if keep_size and strides == 1:
            raise ValueError("`keep_size=True` replaces a stride. Received: strides=1")
        if dilations > 1 and strides == 2 and not keep_size:
            raise ValueError(
                "A block with strides cannot be dilated, unless `keep_size=True` replaces its "
                f"stride. Received: strides={strides}, dilations={dilations}"
            )
        self.filters = filters
        self.strides = strides
        self.convs = convs
        self.mode = mode
        self.dilations = dilations
        self.keep_size = keep_size

        dtype = self.dtype_policy
        # With 4 convolutions: 1/2, 1/4, 1/8 and 1/8 of the channels.
        self.blocks = [
            ConvNormAct(
                filters // 2 ** min(i, convs - 1),
                1 if i == 1 else 3,
                dilations=2 * dilations if keep_size else dilations,
                dtype=dtype,
                name=f"conv{i}",
            )
            for i in range(1, convs + 1)
        ]
        if strides == 2:
            options = {
                "strides": 1 if keep_size else 2,
                "dilations": dilations,
                "activation": None,
                "dtype": dtype,
            }
            self.downsample = DepthwiseConvNormAct(name="downsample", **options)
            if mode == "cat":
                self.pool = PaddedAveragePooling2D(
                    strides=options["strides"], dilations=dilations, dtype=dtype, name="pool"
                )
            else:
                self.skip_depthwise = DepthwiseConvNormAct(name="skip_depthwise", **options)
                self.skip_pointwise = ConvNormAct(
                    filters, 1, activation=None, dtype=dtype, name="skip_pointwise"
                )

    def build(self, x_shape):
        shape = x_shape
        for i, block in enumerate(self.blocks):
            if i == 1 and self.strides == 2:
                self.downsample.build(shape)
                shape = self.downsample.compute_output_shape(shape)
            block.build(shape)
            shape = block.compute_output_shape(shape)
        if self.mode == "add":
            if self.strides == 2:
                self.skip_depthwise.build(x_shape)
                self.skip_pointwise.build(self.skip_depthwise.compute_output_shape(x_shape))
            elif x_shape[-1] != self.filters:
                raise ValueError(
                    f'`mode="add"` adds the {self.filters} output channels to the input, which '
                    f"must have as many. Received: filters={self.filters}, input shape {x_shape}"
                )

    def call(self, x, training=None):
        y = self.blocks[0](x, training=training)
        first = y
        if self.strides == 2:
            y = self.downsample(y, training=training)
            first = self.pool(first) if self.mode == "cat" else y
        parts = [first]
        for block in self.blocks[1:]:
            y = block(y, training=training)
            parts.append(y)
        y = ops.concatenate(parts, axis=-1)  # (batch, height, width, filters)
        if self.mode == "add":
            if self.strides == 2:
                x = self.skip_depthwise(x, training=training)
                x = self.skip_pointwise(x, training=training)
            y = y + x
        return y

    def compute_output_shape(self, x_shape):
        strides = 1 if self.keep_size else self.strides
        sizes = [size if size is None else -(-size // strides) for size in x_shape[1:3]]
        return (x_shape[0], *sizes, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "convs": self.convs,
            "mode": self.mode,
            "dilations": self.dilations,
            "keep_size": self.keep_size,
        }


class PaddedAveragePooling2D(keras.layers.AveragePooling2D):
    """3x3 average pooling over zero padding; the zeros count in the mean, as in PyTorch.

    Keras's `padding="same"` averages only over the pixels inside the map, and its pooling has no
    dilation.

    Args:
        strides: `1` or `2`.
        dilations: Integer, distance between the averaged pixels; needs `strides=1`.
        **kwargs: `name` and `dtype`, as in every Keras layer.
    """

    def __init__(self, strides, dilations, **kwargs):
        super().__init__(3, strides=strides, **kwargs)
        self.dilations = dilations

    def call(self, x):
        border = self.dilations
        x = ops.pad(x, [[0, 0], [border, border], [border, border], [0, 0]])
        if border == 1:
            return super().call(x)
        x = x[:, : -2 * border] + x[:, border:-border] + x[:, 2 * border :]
        x = x[:, :, : -2 * border] + x[:, :, border:-border] + x[:, :, 2 * border :]
        return x / 9
