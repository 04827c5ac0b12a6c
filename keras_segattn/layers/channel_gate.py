"""Channel attention: one weight per channel."""

import keras
from keras import ops

from keras_segattn.layers.composite_layer import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_segattn")
class ChannelGate(CompositeLayer):
    """Channel attention vector, one weight per channel of the whole map.

    `vector = activation(f(avg(x)) + f(max(x)))`, with averages and maxima over height and width.
    `f` is shared: one fully connected layer (`reduction=None`, CANet), or two with a ReLU between
    them and `channels // reduction` hidden units (CBAM, Cross-CBAM).

    The caller multiplies the features by the vector: `x * ChannelGate()(x)`.

    Args:
        reduction: Integer, ratio of the channels to the hidden units, or `None` for a single layer.
            Defaults to `None`.
        activation: Name of an activation, a callable, or `None`. Defaults to `"sigmoid"`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, 1, 1, channels)`.

    Raises:
        ValueError: If `reduction` exceeds the number of channels.

    Example:

    >>> x = np.ones((1, 5, 7, 8), "float32")
    >>> tuple(ChannelGate(reduction=4)(x).shape)
    (1, 1, 1, 8)

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), figure 1(c);
        "CBAM: Convolutional Block Attention Module" (Woo et al., 2018), section 3.

    **Differences from the paper**: CANet does not specify how the two pooled vectors are combined;
    here they are summed before the sigmoid, as in CBAM.
    """

    def __init__(self, reduction=None, activation="sigmoid", **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.activation = keras.activations.get(activation)
        self.average = keras.layers.GlobalAveragePooling2D(
            keepdims=True, dtype=self.dtype_policy, name="average"
        )
        self.maximum = keras.layers.GlobalMaxPooling2D(
            keepdims=True, dtype=self.dtype_policy, name="maximum"
        )

    def build(self, x_shape):
        channels = x_shape[-1]
        # Both layers run in float32: sums over many channels overflow float16.
        self.squeeze = None
        if self.reduction is not None:
            if not 1 <= self.reduction <= channels:
                raise ValueError(
                    f"`reduction` must be between 1 and {channels}, the channels of the input. "
                    f"Received: reduction={self.reduction}, input shape {x_shape}"
                )
            self.squeeze = keras.layers.Dense(
                channels // self.reduction,
                activation="relu",
                dtype="float32",
                name="squeeze",
            )
            self.squeeze.build((None, channels))
        self.excite = keras.layers.Dense(channels, dtype="float32", name="excite")
        self.excite.build((None, self.squeeze.units if self.squeeze else channels))

    def call(self, x):
        energy = self._shared(self.average(x)) + self._shared(self.maximum(x))
        # (batch, 1, 1, channels)
        return ops.saturate_cast(self.activation(energy), self.compute_dtype)

    def _shared(self, pooled):
        if self.squeeze is not None:
            pooled = self.squeeze(pooled)
        return self.excite(pooled)

    def compute_output_shape(self, x_shape):
        return (x_shape[0], 1, 1, x_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "activation": keras.activations.serialize(self.activation),
        }
