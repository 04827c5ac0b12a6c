"""Non-local block, the dense attention that CCNet is compared with."""

import math

import keras
from keras import ops

from keras_segattn.arguments import check_pixel
from keras_segattn.layers.criss_cross_attention import CrissCrossAttention


@keras.saving.register_keras_serializable(package="keras_segattn")
class NonLocal(CrissCrossAttention):
    """Each pixel gathers context from all pixels of the map.

    `y[u] = x[u] + gamma * sum over v of softmax_v(Q[u] . K[v]) V[v]`, with `Q`, `K` and `V` as in
    `CrissCrossAttention`. The attention is dense, and there is only one loop.

    The attention has `(height * width)**2` weights per image. For a 97 x 97 map they take 354 MB;
    criss-cross attention takes 7 MB.

    Args:
        reduction: Integer, ratio of the channels of `x` to the channels of queries and keys.
            Defaults to `8`.
        use_gamma: Boolean, whether a learned scalar, initially zero, multiplies the context.
            Defaults to `True`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.
        return_attention_scores: Boolean, whether to also return the attention. Defaults to `False`.

    Returns:
        Tensor of the shape of `x`, optionally with the float32 scores
        `(batch, height, width, height * width)`. Each pixel's scores are in row-major order and sum
        to one.

    Raises:
        ValueError: If `reduction` exceeds the number of channels.

    Example:

    >>> x = np.ones((1, 5, 7, 16), "float32")
    >>> y, scores = NonLocal()(x, return_attention_scores=True)
    >>> tuple(y.shape), tuple(scores.shape)
    ((1, 5, 7, 16), (1, 5, 7, 35))

    Reference:
        "Non-local Neural Networks" (Wang et al., 2018), in the form of "CCNet: Criss-Cross
        Attention for Semantic Segmentation" (Huang et al., 2019), Table 5.

    **Differences from the paper**: Wang et al. halve the channels of queries, keys and values and
    project the sum back. CCNet's Table 5 gives 108 GFLOPs, which matches only the form here and in
    DANet's position attention: queries and keys have an eighth of the channels, values have all.
    """

    def __init__(self, reduction=8, use_gamma=True, **kwargs):
        super().__init__(recurrence=1, reduction=reduction, use_gamma=use_gamma, **kwargs)

    def _attend(self, x):
        query = _pixels(ops.cast(self.query(x), "float32"))  # (batch, height * width, channels')
        key = _pixels(ops.cast(self.key(x), "float32"))
        energy = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
        batch, height, width = ops.shape(x)[:3]
        return ops.reshape(ops.softmax(energy, axis=-1), (batch, height, width, height * width))

    def _aggregate(self, scores, x):
        return ops.reshape(ops.matmul(_pixels(scores), _pixels(x)), ops.shape(x))

    def _slots(self, height, width):
        return height * width

    def attention(self, x, pixel=None):
        """Returns where a pixel `(row, column)` looks: a map that sums to one."""
        height, width = x.shape[1:3]
        check_pixel(pixel, (height, width))
        scores = self._attend(x)[:, pixel[0], pixel[1]]
        return {"attention": ops.reshape(scores, (-1, height, width))}

    def extra_macs(self, x_shape):
        pixels = math.prod(x_shape[1:3])
        return math.prod(x_shape[:3]) * pixels * (self.query.units + x_shape[-1])

    def get_config(self):
        config = super().get_config()
        del config["recurrence"]
        return config


def _pixels(x):
    """Reshapes `(batch, height, width, channels)` to `(batch, height * width, channels)`."""
    batch, height, width, channels = ops.shape(x)
    return ops.reshape(x, (batch, height * width, channels))
