"""Criss-Cross Attention, the context module of CCNet."""

import math

import keras
from keras import ops

from keras_segattn.arguments import check_pixel
from keras_segattn.layers.composite_layer import CompositeLayer

# Far below any energy of finite features, but finite: the softmax maps it to exactly zero.
MASKED_ENERGY = -1e30


@keras.saving.register_keras_serializable(package="keras_segattn")
class CrissCrossAttention(CompositeLayer):
    """Each pixel gathers context from its row and its column, `recurrence` times.

    ```
    Q, K = conv1x1(x), conv1x1(x)                     # channels // reduction channels each
    A[u] = softmax over v of Q[u] . K[v]              # v: the height + width - 1 pixels that
                                                      #    share the row or the column of u
    y[u] = x[u] + gamma * sum over v of A[u, v] V[v]  # V = conv1x1(x), as many channels as x
    ```

    After one loop, a pixel has seen its row and column. After a second loop with the same weights,
    it has seen the whole map.

    Args:
        recurrence: Integer, the number of loops; they share all weights. Defaults to `2`, the
            paper's choice; Table 3 of the paper compares 1, 2 and 3.
        reduction: Integer, ratio of the channels of `x` to the channels of queries and keys.
            Defaults to `8`.
        use_gamma: Boolean, whether a learned scalar, initially zero, multiplies the context. With
            `False`, the context is added unscaled, as in the paper's equation 2. Defaults to
            `True`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.
        return_attention_scores: Boolean, whether to also return the attention of the last loop,
            not combined with earlier ones. Defaults to `False`.

    Returns:
        Tensor of the shape of `x`, optionally with the float32 scores
        `(batch, height, width, height + width)`. Each pixel has `height` weights for its column,
        top to bottom, then `width` weights for its row, left to right; they sum to one. The weight
        of the pixel itself is in the row part; its entry in the column part is zero. For the maps
        of every loop, see `keras_segattn.visualization.model_attention`.

    Raises:
        ValueError: If `recurrence` is below one, or `reduction` is not from 1 to the number of
            channels.

    Example:

    >>> x = np.ones((1, 5, 7, 16), "float32")
    >>> y, scores = CrissCrossAttention()(x, return_attention_scores=True)
    >>> tuple(y.shape), tuple(scores.shape)
    ((1, 5, 7, 16), (1, 5, 7, 12))

    Reference:
        "CCNet: Criss-Cross Attention for Semantic Segmentation" (Huang et al., 2019), sections 3.2
        and 3.3, equations 1 and 2.

    **Differences from the paper**: equation 2 has no `gamma` (`use_gamma=False`). The authors' code
    multiplies the context by this learned scalar, initially zero, and so does this layer. The layer
    is therefore the identity before training. The paper specifies neither the reduction nor the
    initial values. Both follow the authors' code: a reduction of 8, and PyTorch's initializers for
    convolutions, here with zero biases.

    The layer applies the convolution of `V` after the weighted sum, not before it. The weights of a
    pixel sum to one, so the result, `conv1x1(sum over v of A[u, v] x[v])`, is the same, with the
    same number of operations and one fewer map to keep for the backward pass. The products
    `Q[u] . K[v]` and the softmax are computed in float32, whatever the dtype policy.
    """

    def __init__(self, recurrence=2, reduction=8, use_gamma=True, **kwargs):
        super().__init__(**kwargs)
        if recurrence < 1:
            raise ValueError(
                f"`recurrence` must be at least 1, the number of loops. Received: {recurrence}"
            )
        self.recurrence = recurrence
        self.reduction = reduction
        self.use_gamma = use_gamma

    def build(self, x_shape):
        channels = x_shape[-1]
        if not 1 <= self.reduction <= channels:
            raise ValueError(
                f"`reduction` must be between 1 and {channels}, the channels of the input. "
                f"Received: reduction={self.reduction}, input shape {x_shape}"
            )
        self.query = self._make_conv1x1(channels // self.reduction, "query")
        self.key = self._make_conv1x1(channels // self.reduction, "key")
        self.value = self._make_conv1x1(channels, "value")
        for conv in (self.query, self.key, self.value):
            conv.build(x_shape)
        if self.use_gamma:
            self.gamma = self.add_weight(shape=(1,), initializer="zeros", name="gamma")

    def _make_conv1x1(self, filters, name):
        # A fully connected layer per pixel equals a 1x1 convolution and exports as a matrix
        # product. A runtime with channels-first convolutions then need not transpose the map.
        return keras.layers.Dense(
            filters,
            # PyTorch's initializer, uniform up to 1 / sqrt(channels). Keras's is wider, and the
            # softmax of unscaled energies would start out close to one-hot.
            kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, x, return_attention_scores=False):
        for _ in range(self.recurrence):
            x, scores = self._loop(x)
        return (x, scores) if return_attention_scores else x

    def attention(self, x, pixel=None):
        """Returns where a pixel `(row, column)` looks after each loop: maps that sum to one.

        After two loops, the map is `sum over v of A2[u, v] A1[v, w]`, as in the paper's figure 6.
        """
        batch, height, width = x.shape[:3]
        check_pixel(pixel, (height, width))
        here = ops.one_hot(pixel[0] * width + pixel[1], height * width)
        here = ops.tile(ops.reshape(here, (1, height, width)), (batch, 1, 1))
        loops, maps = [], {}
        for count in range(1, self.recurrence + 1):
            x, scores = self._loop(x)
            loops.append(scores)
            weights = here
            # Walk back from the last loop to the first.
            for scores in reversed(loops):
                weights = self._hand_on(weights, scores)
            maps[f"after {count} loop{'s' * (count > 1)}"] = weights
        return maps

    def _hand_on(self, weights, scores):
        """Passes each pixel's weight on to the column and row it looks at."""
        height = weights.shape[1]
        columns = ops.einsum("bij,bijr->brj", weights, scores[..., :height])
        rows = ops.einsum("bij,bijc->bic", weights, scores[..., height:])
        return columns + rows

    def _loop(self, x):
        scores = self._attend(x)
        context = self._aggregate(ops.cast(scores, self.compute_dtype), x)
        value = self.value(context)  # (batch, height, width, channels)
        if self.use_gamma:
            value = ops.cast(self.gamma, self.compute_dtype) * value
        return x + value, scores

    def _attend(self, x):
        """Equation 1: normalized affinities between each pixel and its column and row."""
        query = ops.cast(self.query(x), "float32")  # (batch, height, width, channels')
        key = ops.cast(self.key(x), "float32")
        # (batch, width, height, height)
        column = ops.matmul(_swap(query), ops.transpose(key, (0, 2, 3, 1)))
        index = ops.arange(0, ops.shape(x)[1], 1, dtype="int32")
        itself = ops.equal(ops.expand_dims(index, 1), ops.expand_dims(index, 0))
        column = ops.where(itself, MASKED_ENERGY, column)
        # (batch, height, width, width)
        row = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        # (batch, height, width, height + width)
        return ops.softmax(ops.concatenate([_swap(column), row], axis=-1), axis=-1)

    def _aggregate(self, scores, x):
        """Equation 2: the mean over column and row, weighted by each pixel's scores."""
        height = ops.shape(x)[1]
        column = ops.matmul(_swap(scores[..., :height]), _swap(x))
        row = ops.matmul(scores[..., height:], x)
        return _swap(column) + row  # (batch, height, width, channels)

    def _slots(self, height, width):
        """Returns the number of scores per pixel."""
        return height + width

    def extra_macs(self, x_shape):
        """Multiply-adds of affinity and aggregation, without the masked entries."""
        _, height, width, channels = x_shape
        counted = height + width - 1
        return self.recurrence * math.prod(x_shape[:3]) * counted * (self.query.units + channels)

    def compute_output_shape(self, x_shape):
        return x_shape

    def compute_output_spec(self, x, return_attention_scores=False):
        y = keras.KerasTensor(x.shape, self.compute_dtype)
        if not return_attention_scores:
            return y
        slots = None if None in x.shape[1:3] else self._slots(*x.shape[1:3])
        return y, keras.KerasTensor((*x.shape[:3], slots), "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "recurrence": self.recurrence,
            "reduction": self.reduction,
            "use_gamma": self.use_gamma,
        }


def _swap(x):
    """Swaps height and width, so that a matrix product runs along the columns."""
    return ops.transpose(x, (0, 2, 1, 3))
