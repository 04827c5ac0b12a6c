"""Resizing to the size of a reference tensor, for both static and dynamic sizes."""

import contextlib
import contextvars

import keras
from keras import ops

from keras_segattn.arguments import check_choice


@keras.saving.register_keras_serializable(package="keras_segattn")
class ResizeLike(keras.layers.Layer):
    """Resizes a feature map to the height and width of a reference.

    Bilinear resizing is separable: `y = R x C^T` with one interpolation matrix per axis. Row `i` of
    a matrix holds `max(0, 1 - |p(i) - j|)` for each source pixel `j`, where
    `p(i) = (i + 1/2) in/out - 1/2` clipped to the map, or `i (in - 1) / (out - 1)` with
    `align_corners`. Nearest takes source pixel `floor(i * in / out)`, or the pixel nearest to
    `p(i)` with `align_corners`.

    Args:
        interpolation: `"bilinear"` or `"nearest"`. Defaults to `"bilinear"`.
        align_corners: Boolean, whether the corner pixels of both maps coincide, as in PyTorch's
            `interpolate(align_corners=True)`. Defaults to `False`.
        **kwargs: `name` and `dtype`, as in every Keras layer. With `dtype="float32"` the result is
            float32 even under mixed precision.

    Call arguments:
        inputs: List `[x, reference]` of tensors of shape `(batch, h, w, channels)` and
            `(batch, height, width, any)`. `reference` is used only for its size.

    Returns:
        Tensor of shape `(batch, height, width, channels)`.

    Raises:
        ValueError: If `interpolation` is unknown.

    Example:

    >>> x, image = np.ones((1, 4, 6, 8), "float32"), np.ones((1, 31, 45, 3), "float32")
    >>> tuple(ResizeLike()([x, image]).shape)
    (1, 31, 45, 8)

    **Differences from Keras**: `keras.ops.image.resize` rejects an unknown height or width in Keras
    3.14 and 3.15, and its gradient fails under XLA with mixed precision. This layer uses it, in
    float32, only if all sizes are known and corners are not aligned, because it is faster there.
    The matrices handle the other cases and give the same values. Nearest follows PyTorch; Keras's
    nearest is shifted by half a pixel.
    """

    def __init__(self, interpolation="bilinear", align_corners=False, **kwargs):
        super().__init__(**kwargs)
        check_choice("interpolation", interpolation, ("bilinear", "nearest"))
        self.interpolation = interpolation
        self.align_corners = align_corners

    def build(self, input_shape):
        pass

    def call(self, inputs):
        x, reference = inputs
        source, target = ops.shape(x)[1:3], ops.shape(reference)[1:3]
        kernels = _replacements.get() or {"nearest": nearest, "bilinear": bilinear}
        resize = kernels[self.interpolation]
        if self.interpolation == "nearest":
            return resize(x, source, target, self.align_corners)
        y = resize(ops.cast(x, "float32"), source, target, self.align_corners)
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        x_shape, reference_shape = input_shape
        return (*reference_shape[:3], x_shape[3])

    def get_config(self):
        return {
            **super().get_config(),
            "interpolation": self.interpolation,
            "align_corners": self.align_corners,
        }


def nearest(x, source, target, align_corners):
    """Gathers the nearest pixels. See `resize_kernels` for the arguments."""

    def index(source, target):
        i = ops.arange(0, target, 1, dtype="int32")
        if not align_corners:
            return i * source // target
        steps = ops.maximum(target - 1, 1)
        return (2 * i * (source - 1) + steps) // (2 * steps)

    x = ops.take(x, index(source[0], target[0]), axis=1)
    return ops.take(x, index(source[1], target[1]), axis=2)


def bilinear(x, source, target, align_corners):
    """Interpolates linearly along each axis. See `resize_kernels` for the arguments."""
    static = all(isinstance(size, int) for size in (*source, *target))
    if static and not align_corners:
        return ops.image.resize(x, target, interpolation="bilinear", data_format="channels_last")
    rows = _bilinear_matrix(source[0], target[0], align_corners)  # (height, h)
    columns = _bilinear_matrix(source[1], target[1], align_corners)  # (width, w)
    # Columns first: images are wider than tall, so the second product is the larger one. Both
    # matrices are the left factor, so no map is transposed.
    y = ops.matmul(columns, x)  # (batch, h, width, channels)
    y = ops.reshape(y, (-1, source[0], target[1] * x.shape[3]))
    y = ops.matmul(rows, y)  # (batch, height, width * channels)
    return ops.reshape(y, (-1, *target, x.shape[3]))


def _bilinear_matrix(source, target, align_corners):
    """Returns the `(target, source)` matrix whose rows interpolate linearly and sum to one."""
    j = ops.cast(ops.arange(0, source, 1, dtype="int32"), "float32")
    position = source_positions(source, target, align_corners)
    distance = ops.abs(ops.expand_dims(position, 1) - ops.expand_dims(j, 0))
    return ops.maximum(0.0, 1.0 - distance)


def source_positions(source, target, align_corners):
    """Returns where the target pixels of an axis lie, in float32 source pixels."""
    i = ops.cast(ops.arange(0, target, 1, dtype="int32"), "float32")
    source, target = ops.cast(source, "float32"), ops.cast(target, "float32")
    if align_corners:
        return i * (source - 1) / ops.maximum(target - 1, 1)
    return ops.clip((i + 0.5) * source / target - 0.5, 0, source - 1)


_replacements = contextvars.ContextVar("resize_kernels", default=None)


@contextlib.contextmanager
def resize_kernels(nearest, bilinear):
    """Context manager: replaces the functions with which `ResizeLike` computes, in this thread.

    Exports trace the network inside it, so that the artifact contains its runtime's operators.

    Args:
        nearest: Callable `(x, source, target, align_corners)` from maps
            `(batch, *source, channels)` to `(batch, *target, channels)`; sizes are integers or
            scalar tensors.
        bilinear: The same for bilinear interpolation; `x` is float32.
    """
    token = _replacements.set({"nearest": nearest, "bilinear": bilinear})
    try:
        yield
    finally:
        _replacements.reset(token)
