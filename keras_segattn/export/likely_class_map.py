"""Class map of resized logits, without resizing the logits of every class."""

import keras
from keras import ops

from keras_segattn.layers.resize_like import source_positions


@keras.saving.register_keras_serializable(package="keras_segattn")
class LikelyClassMap(keras.layers.Layer):
    """Chooses the best class of resized logits at each pixel, among the likely classes.

    A pixel lies between four pixels of the coarse map, and its logits are a weighted mean of their
    logits. Only the `likely` classes with the largest logits at any of the four are interpolated.
    The result is exact for pixels whose best class is among them.

    Args:
        align_corners: Boolean, as in `ResizeLike`. Defaults to `False`.
        likely: Integer, number of classes to interpolate at each pixel. Defaults to 8.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        inputs: List `[logits, reference]` of tensors of shape `(batch, h, w, classes)` and
            `(batch, height, width, any)`. `reference` is used only for its size.

    Returns:
        int32 tensor of shape `(batch, height, width)`.
    """

    def __init__(self, align_corners=False, likely=8, **kwargs):
        super().__init__(**kwargs)
        self.align_corners = align_corners
        self.likely = likely

    def build(self, input_shape):
        pass

    def call(self, inputs):
        logits, reference = inputs
        batch, h, w, classes = ops.shape(logits)
        height, width = ops.shape(reference)[1:3]
        likely = min(self.likely, classes)
        # The last row and column are their own neighbors.
        below = ops.concatenate([logits[:, 1:], logits[:, -1:]], axis=1)
        largest = ops.maximum(logits, below)
        right = ops.concatenate([largest[:, :, 1:], largest[:, :, -1:]], axis=2)
        _, found = ops.top_k(ops.maximum(largest, right), likely)
        found = ops.cast(found, "int32")  # (batch, h, w, likely)

        def cells(rows, columns):
            """Returns indices of pixels in all maps of the batch, `(batch, rows, columns)`."""
            first = ops.reshape(ops.arange(0, batch, 1, dtype="int32") * (h * w), (-1, 1, 1))
            return first + ops.reshape(rows, (1, -1, 1)) * w + ops.reshape(columns, (1, 1, -1))

        # Gathering from a flat tensor is the form that every runtime has.
        flat = ops.reshape(logits, (-1,))

        def logits_at(rows, columns):
            return ops.take(flat, ops.expand_dims(cells(rows, columns), -1) * classes + found, 0)

        top, left = ops.arange(0, h, 1, dtype="int32"), ops.arange(0, w, 1, dtype="int32")
        bottom, after = ops.minimum(top + 1, h - 1), ops.minimum(left + 1, w - 1)
        above, y = _before(h, height, self.align_corners)
        beside, x = _before(w, width, self.align_corners)
        y, x = ops.reshape(y, (1, -1, 1, 1)), ops.reshape(x, (1, 1, -1, 1))

        def along_height(columns):
            first = ops.take(logits_at(top, columns), above, 1)
            last = ops.take(logits_at(bottom, columns), above, 1)
            return first + (last - first) * y  # (batch, height, w, likely)

        first, last = along_height(left), along_height(after)
        first, change = ops.take(first, beside, 2), ops.take(last - first, beside, 2)
        _, best = ops.top_k(first + change * x, 1)  # (batch, height, width, 1)
        best = cells(above, beside) * likely + ops.cast(ops.squeeze(best, -1), "int32")
        return ops.take(ops.reshape(found, (-1,)), best, 0)

    def compute_output_spec(self, inputs):
        _, reference = inputs
        return keras.KerasTensor(reference.shape[:3], dtype="int32")

    def get_config(self):
        return {
            **super().get_config(),
            "align_corners": self.align_corners,
            "likely": self.likely,
        }


def _before(source, target, align_corners):
    """Returns the source pixel before each target pixel, and how far it lies beyond it."""
    position = source_positions(source, target, align_corners)
    before = ops.floor(position)
    return ops.cast(before, "int32"), position - before
