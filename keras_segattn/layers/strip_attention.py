"""Strip attention, the SAM of AttaNet: each pixel attends to the columns of the map."""

import keras
from keras import ops

from keras_segattn.arguments import check_choice, check_pixel
from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import ConvNormAct

# The axis to average over; one strip per position of the other axis remains.
POOLED_AXIS = {"vertical": 1, "horizontal": 2}


@keras.saving.register_keras_serializable(package="keras_segattn")
class StripAttention(CompositeLayer):
    """Each pixel attends to the vertical (or horizontal) strips of the map.

    ```
    Q = query(x)                                # one query per pixel
    K = mean_h(key(x)),  V = mean_h(value(x))   # one key and one value per column
    A[p, j] = exp(Q_p . K_j) / sum_k exp(Q_p . K_k)
    y_p = x_p + sum_j A[p, j] V_j
    ```

    `query`, `key` and `value` are 1x1 convolutions, each with batch normalization and ReLU. The
    formula shows vertical strips; horizontal ones average over the width. The cost is
    `O(height * width * strips)`; attention among all pixels costs `O((height * width)**2)`.

    Args:
        key_filters: Integer, channels of the queries and keys. Defaults to `64`.
        orientation: Direction of the strips: `"vertical"`, one strip per column, or
            `"horizontal"`, one per row. Defaults to `"vertical"`, the paper's choice.
        normalize: Boolean, whether batch normalization and ReLU follow the projections, as in the
            authors' network. With `False`, they are plain convolutions, as in the paper's text.
            Defaults to `True`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.
        return_attention_scores: Boolean, whether to also return `A`. Defaults to `False`.

    Returns:
        Tensor of shape `(batch, height, width, channels)`, optionally with the float32 scores
        `(batch, height, width, strips)`. They sum to one over the strips; there are `width`
        vertical or `height` horizontal strips.

    Raises:
        ValueError: If `orientation` is unknown or `key_filters` is below 1.

    Example:

    >>> x = np.ones((1, 6, 9, 16), "float32")
    >>> y, scores = StripAttention(key_filters=8)(x, return_attention_scores=True)
    >>> tuple(y.shape), tuple(scores.shape)
    ((1, 6, 9, 16), (1, 6, 9, 9))

    Reference:
        "AttaNet: Attention-Augmented Network for Fast and Accurate Scene Parsing" (Song, Mei and
        Huang, 2021), section "Strip Attention Module" and figure 3.

    **Differences from the paper**: the softmax in the paper sums over the pixels, and its
    aggregation over more values than there are strips. This layer follows the authors' network,
    which takes each pixel's softmax over the strips. The layer's projections have batch
    normalization and ReLU, which the text does not mention (`normalize=False`).
    """

    def __init__(self, key_filters=64, orientation="vertical", normalize=True, **kwargs):
        super().__init__(**kwargs)
        check_choice("orientation", orientation, POOLED_AXIS)
        if key_filters < 1:
            raise ValueError(f"`key_filters` must be at least 1. Received: {key_filters}")
        self.key_filters = key_filters
        self.orientation = orientation
        self.normalize = normalize
        self.query = self._projection(key_filters, "query")
        self.key = self._projection(key_filters, "key")

    def _projection(self, filters, name):
        if self.normalize:
            return ConvNormAct(filters, 1, dtype=self.dtype_policy, name=name)
        # A key bias would shift all energies of a pixel equally; softmax cancels it.
        return keras.layers.Conv2D(
            filters, 1, use_bias=name != "key", dtype=self.dtype_policy, name=name
        )

    def build(self, x_shape):
        # The values are added to the input, so they have the same number of channels.
        self.value = self._projection(x_shape[-1], "value")
        for projection in (self.query, self.key, self.value):
            projection.build(x_shape)

    def call(self, x, return_attention_scores=False, training=None):
        pooled = POOLED_AXIS[self.orientation]
        query = self._project(self.query, x, training)  # (batch, height, width, key_filters)
        key = self._project(self.key, x, training)
        value = self._project(self.value, x, training)
        # Large activations give energies that overflow float16 or become indistinguishable.
        query, key = ops.cast(query, "float32"), ops.cast(key, "float32")
        key = ops.mean(key, axis=pooled)  # (batch, strips, key_filters)
        value = ops.mean(value, axis=pooled)  # (batch, strips, channels)

        batch, height, width, _ = ops.shape(x)
        query = ops.reshape(query, (batch, -1, self.key_filters))
        energy = ops.matmul(query, ops.transpose(key, (0, 2, 1)))  # (batch, pixels, strips)
        scores = _softmax(energy)
        context = ops.matmul(ops.cast(scores, value.dtype), value)  # (batch, pixels, channels)
        y = x + ops.reshape(context, ops.shape(x))
        if return_attention_scores:
            return y, ops.reshape(scores, (batch, height, width, -1))
        return y

    def attention(self, x, pixel=None, strip=None):
        """Returns where a pixel `(row, column)` looks, or which pixels look at a strip.

        The map of a pixel sums to one. Keys and values are means over a strip, so the pixels of a
        strip share its weight. The map of a strip (a column, or a row if strips are horizontal)
        holds the weight that each pixel gives it, as in the paper's figure 9.
        """
        batch, height, width = x.shape[:3]
        if strip is None:
            check_pixel(pixel, (height, width))
        _, scores = self(x, return_attention_scores=True)
        if strip is not None:
            if not 0 <= strip < scores.shape[-1]:
                raise ValueError(
                    f"`strip` must be from 0 to {scores.shape[-1] - 1}. Received: {strip}"
                )
            return {f"strip {strip}": scores[..., strip]}
        strips = scores[:, pixel[0], pixel[1]]  # (batch, strips)
        pooled = POOLED_AXIS[self.orientation]
        shared = ops.expand_dims(strips / x.shape[pooled], pooled)
        return {"strips": ops.broadcast_to(shared, (batch, height, width))}

    def _project(self, projection, x, training):
        return projection(x, training=training) if self.normalize else projection(x)

    def extra_macs(self, input_shape):
        """Multiply-adds of the energies and of the weighted sums of the values."""
        batch, height, width, channels = input_shape
        strips = self._strips(input_shape)
        return batch * height * width * strips * (self.key_filters + channels)

    def _strips(self, x_shape):
        return x_shape[3 - POOLED_AXIS[self.orientation]]

    def compute_output_shape(self, x_shape):
        return x_shape

    def compute_output_spec(self, x, return_attention_scores=False, training=None):
        y = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        if return_attention_scores:
            scores_shape = (*x.shape[:3], self._strips(x.shape))
            return y, keras.KerasTensor(scores_shape, dtype="float32")
        return y

    def get_config(self):
        return {
            **super().get_config(),
            "key_filters": self.key_filters,
            "orientation": self.orientation,
            "normalize": self.normalize,
        }


def _softmax(energy):
    """Softmax over the last axis, without Keras's warning for a single value."""
    if energy.shape[-1] == 1:
        return ops.ones_like(energy)
    return ops.softmax(energy, axis=-1)
