"""Pyramid pooling, the PSPNet context module that CCNet is compared with."""

import keras
from keras import ops

from keras_segattn.arguments import check_at_least
from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.layers.resize_like import ResizeLike


@keras.saving.register_keras_serializable(package="keras_segattn")
class PyramidPooling(CompositeLayer):
    """Concatenates the map with its averages over grids of several sizes.

    ```
    p_b = resize(conv1x1(average of x over each cell of a b x b grid))       b in bins
    y   = concat([x, p_1, p_2, p_3, p_6])
    ```

    Args:
        filters: Integer, channels of each level. Defaults to `None`: the channels of `x` divided
            among the levels.
        bins: Sequence of the number of cells along each axis, one per level. Defaults to
            `(1, 2, 3, 6)`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, height, width, channels + len(bins) * filters)`.

    Raises:
        ValueError: If `filters` or a bin is below 1, or `bins` is empty.

    Example:

    >>> layer = PyramidPooling(filters=4)
    >>> tuple(layer(np.ones((1, 5, 7, 16), "float32")).shape)
    (1, 5, 7, 32)

    Reference:
        "Pyramid Scene Parsing Network" (Zhao et al., 2017), section 3.2; the row "+PSP" of Table 4
        of "CCNet: Criss-Cross Attention for Semantic Segmentation" (Huang et al., 2019).

    **Differences from the paper**: none. If `b` does not divide a side, neighboring cells share
    pixels, as in PyTorch's adaptive pooling; a map smaller than `b` pixels repeats some of them.
    """

    def __init__(self, filters=None, bins=(1, 2, 3, 6), **kwargs):
        super().__init__(**kwargs)
        if filters is not None:
            check_at_least("filters", filters, 1)
        if not len(bins) or min(bins) < 1:
            raise ValueError(f"`bins` must be one or more numbers from 1 up. Received: {bins}")
        self.filters = filters
        self.bins = tuple(bins)
        self.resize = ResizeLike(align_corners=True, dtype=self.dtype_policy, name="resize")

    def build(self, x_shape):
        self.projections = [
            ConvNormAct(self._filters(x_shape), 1, dtype=self.dtype_policy, name=f"level{b}")
            for b in self.bins
        ]
        for b, projection in zip(self.bins, self.projections, strict=True):
            projection.build((x_shape[0], b, b, x_shape[-1]))
        self.resize.build([x_shape, x_shape])

    def call(self, x, training=None):
        levels = [
            self.resize([projection(_averages(x, b), training=training), x])
            for b, projection in zip(self.bins, self.projections, strict=True)
        ]
        return ops.concatenate([x, *levels], axis=-1)

    def _filters(self, x_shape):
        return self.filters or max(1, x_shape[-1] // len(self.bins))

    def compute_output_shape(self, x_shape):
        return (*x_shape[:3], x_shape[-1] + len(self.bins) * self._filters(x_shape))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "bins": self.bins}


def _averages(x, bins):
    """The means of the cells of a grid, `(batch, bins, bins, channels)`."""
    height, width = ops.shape(x)[1:3]
    # Half precision would lose the sum of many pixels.
    y = ops.matmul(_cells(width, bins), ops.cast(x, "float32"))  # (batch, height, bins, channels)
    y = ops.reshape(y, (-1, height, bins * x.shape[3]))
    y = ops.matmul(_cells(height, bins), y)  # (batch, bins, bins * channels)
    return ops.cast(ops.reshape(y, (-1, bins, bins, x.shape[3])), x.dtype)


def _cells(size, bins):
    """Returns the `(bins, size)` matrix whose rows average the pixels of one cell each."""
    cell = ops.arange(bins, dtype="int32")
    start, stop = cell * size // bins, -(-(cell + 1) * size // bins)
    pixel = ops.expand_dims(ops.arange(0, size, 1, dtype="int32"), 0)
    inside = ops.logical_and(pixel >= ops.expand_dims(start, 1), pixel < ops.expand_dims(stop, 1))
    inside = ops.cast(inside, "float32")
    return inside / ops.sum(inside, axis=1, keepdims=True)
