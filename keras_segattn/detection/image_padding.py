"""Padding of images to whole positions of a feature pyramid."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_segattn")
class ImagePadding(keras.layers.Layer):
    """Pads images with zeros below and on the right; also returns their unpadded sizes.

    Args:
        multiple: Integer; the padded sides are divisible by it. Defaults to `32`.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        images: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tuple of the padded images, and int32 `(batch, 2)`, the height and width of each image.
    """

    def __init__(self, multiple=32, **kwargs):
        super().__init__(**kwargs)
        self.multiple = multiple

    def build(self, images_shape):
        pass

    def call(self, images):
        batch, height, width = ops.shape(images)[:3]
        rows, columns = (self._missing(side) for side in (height, width))
        padded = ops.pad(images, ((0, 0), (0, rows), (0, columns), (0, 0)))
        ones = ops.ones((batch, 1), dtype="int32")
        return padded, ops.concatenate([height * ones, width * ones], axis=1)

    def _missing(self, side):
        return (self.multiple - side % self.multiple) % self.multiple

    def compute_output_spec(self, images):
        batch, *sides, channels = images.shape
        sides = [None if side is None else side + self._missing(side) for side in sides]
        return (
            keras.KerasTensor((batch, *sides, channels), self.compute_dtype),
            keras.KerasTensor((batch, 2), "int32"),
        )

    def get_config(self):
        return {**super().get_config(), "multiple": self.multiple}
