"""Channel shuffle between groups."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_segattn")
class ChannelShuffle(keras.layers.Layer):
    """Channel shuffle: interleaves the channels of the groups, so that the next layer mixes them.

    `y[..., i * groups + g] = x[..., g * channels / groups + i]`

    Args:
        groups: Integer that divides the number of channels. Defaults to `2`.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If `groups` does not divide the channels.

    Example:

    >>> x = np.arange(6, dtype="float32").reshape(1, 1, 1, 6)
    >>> [int(value) for value in ChannelShuffle(groups=2)(x)[0, 0, 0]]
    [0, 3, 1, 4, 2, 5]

    Reference:
        "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices" (Zhang
        et al., 2018), section 3.1.

    **Differences from the paper**: none.
    """

    def __init__(self, groups=2, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups

    def build(self, x_shape):
        if self.groups < 1 or x_shape[-1] % self.groups:
            raise ValueError(
                f"`groups` must divide {x_shape[-1]}, the channels of the input. Received: "
                f"groups={self.groups}, input shape {x_shape}"
            )

    def call(self, x):
        batch, height, width, channels = ops.shape(x)
        # Height and width share one axis: runtimes are fastest with at most four axes.
        y = ops.reshape(x, (batch, -1, self.groups, channels // self.groups))
        y = ops.transpose(y, (0, 1, 3, 2))
        return ops.reshape(y, (batch, height, width, channels))

    def compute_output_shape(self, x_shape):
        return x_shape

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}
