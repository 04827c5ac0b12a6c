"""Cross Convolutional Block Attention, the fusion module of Cross-CBAM."""

import keras
from keras import ops

from keras_segattn.layers.channel_gate import ChannelGate
from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.spatial_gate import SpatialGate

FLOAT16_MAX = 65504.0


@keras.saving.register_keras_serializable(package="keras_segattn")
class CCBAM(CompositeLayer):
    """Fuses a decoder and an encoder feature map; each one's attention weights the other.

    ```
    C_high = CA(high)                C_low = CA(low)            # what: one weight per channel
    F_high = low * C_high            F_low = high * C_low
    S_high = SA(F_high)              S_low = SA(F_low)          # where: one weight per pixel
    y      = F_low * S_high + F_high * S_low

    CA(x)  = sigmoid(f(maxpool(x)) + f(avgpool(x)))             # ChannelGate
    SA(x)  = sigmoid(conv([max_c(x), mean_c(x)]))               # SpatialGate
    ```

    The four gates share no weights; `f` is two fully connected layers with a ReLU between them. The
    names follow the paper: `F_high` is computed from `low`, and `F_low` from `high`.

    Args:
        reduction: Integer, ratio of the channels to the hidden units of `f`. Defaults to `16`, the
            paper's choice.
        channel_activation: Activation of the channel attention. `None` follows equation 3
            literally, and the weights are then unbounded. Defaults to `"sigmoid"`.
        spatial_kernel_size: Odd integer, kernel size of the spatial attention. Defaults to `1`, the
            paper's choice; CBAM uses `7`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        inputs: List `[high, low]` of tensors of shape `(batch, height, width, channels)`: the
            decoder map, resized to the encoder's size, and the encoder map.

    Returns:
        Tensor of shape `(batch, height, width, channels)`.

    Raises:
        ValueError: If the two maps differ in size or channels, or `reduction` exceeds the
            channels.

    Example:

    >>> high, low = np.ones((1, 6, 9, 32), "float32"), np.ones((1, 6, 9, 32), "float32")
    >>> tuple(CCBAM()([high, low]).shape)
    (1, 6, 9, 32)

    Reference:
        "Cross-CBAM: A Lightweight network for Scene Segmentation" (Zhang et al., 2023), section
        3.2, equations 2 to 4 and figure 3.

    **Differences from the paper**: both attentions end in a sigmoid, as in CBAM. Equations 3 and 4
    print none, but the text beside equation 4 names one. The two branches share no gate weights.
    The paper does not say so, but with its reduction of 16 only separate weights match the
    published parameter counts. In float16 the products are clipped to the largest float16 number:
    without a sigmoid, products of three maps overflow.
    """

    def __init__(self, reduction=16, channel_activation="sigmoid", spatial_kernel_size=1, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.channel_activation = keras.activations.get(channel_activation)
        self.spatial_kernel_size = spatial_kernel_size

        def channel_gate(name):
            return ChannelGate(
                reduction, self.channel_activation, dtype=self.dtype_policy, name=name
            )

        def spatial_gate(name):
            return SpatialGate(
                spatial_kernel_size, squeeze=True, dtype=self.dtype_policy, name=name
            )

        self.channel_high = channel_gate("channel_high")
        self.channel_low = channel_gate("channel_low")
        self.spatial_high = spatial_gate("spatial_high")
        self.spatial_low = spatial_gate("spatial_low")

    def build(self, input_shape):
        high_shape, low_shape = input_shape
        for high, low in zip(high_shape[1:], low_shape[1:], strict=True):
            if None not in (high, low) and high != low:
                raise ValueError(
                    "`high` and `low` must have the same height, width and channels; resize (see "
                    "ResizeLike) or project (see ConvNormAct) one of them first. Received shapes "
                    f"{high_shape} and {low_shape}"
                )
        self.channel_high.build(high_shape)
        self.channel_low.build(low_shape)
        self.spatial_high.build(low_shape)
        self.spatial_low.build(high_shape)

    def call(self, inputs):
        (f_high, f_low), (_, _, s_high, s_low) = self._gate(inputs)
        return self._finite(f_low * s_high + f_high * s_low)

    def attention(self, inputs, pixel=None):
        """Returns the maps `S_high` and `S_low` and the vectors `C_high` and `C_low`."""
        _, (c_high, c_low, s_high, s_low) = self._gate(inputs)
        return {
            "spatial_high": s_high[..., 0],
            "spatial_low": s_low[..., 0],
            "channel_high": c_high[:, 0, 0],
            "channel_low": c_low[:, 0, 0],
        }

    def _gate(self, inputs):
        high, low = inputs  # (batch, height, width, channels)
        c_high = self.channel_high(high)  # (batch, 1, 1, channels)
        c_low = self.channel_low(low)
        f_high = self._finite(low * c_high)
        f_low = self._finite(high * c_low)
        s_high = self.spatial_high(f_high)  # (batch, height, width, 1)
        s_low = self.spatial_low(f_low)
        return (f_high, f_low), (c_high, c_low, s_high, s_low)

    def _finite(self, x):
        return ops.clip(x, -FLOAT16_MAX, FLOAT16_MAX) if self.compute_dtype == "float16" else x

    def compute_output_shape(self, input_shape):
        _, low_shape = input_shape
        return tuple(low_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "channel_activation": keras.activations.serialize(self.channel_activation),
            "spatial_kernel_size": self.spatial_kernel_size,
        }
