"""Resizes images to the size at which an exported network runs."""

import keras
from keras import ops

from keras_segattn.layers import ResizeLike


@keras.saving.register_keras_serializable(package="keras_segattn")
class ResizeTo(keras.layers.Layer):
    """Resizes images of any size bilinearly to a fixed size.

    `keras.layers.Resizing` rejects images of unknown size in Keras 3.14 and 3.15.

    Args:
        size: Tuple `(height, width)`.
        **kwargs: `name` and `dtype`, as in every Keras layer.

    Call arguments:
        images: Tensor `(batch, h, w, channels)`.

    Returns:
        Tensor `(batch, height, width, channels)`.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = tuple(size)
        self._resize = ResizeLike(dtype="float32")

    def build(self, images_shape):
        pass

    def call(self, images):
        # The reference is used only for its size.
        return self._resize([images, ops.zeros((1, *self.size, 1))])

    def compute_output_shape(self, images_shape):
        return (images_shape[0], *self.size, images_shape[3])

    def get_config(self):
        return {**super().get_config(), "size": self.size}
