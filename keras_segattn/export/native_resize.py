"""Exports resize by the operator that TensorFlow and every runtime have for it."""

import keras

from keras_segattn.layers import ResizeLike


def with_native_resize(served):
    """Returns a serving model that shares its weights, resizes as it does, and is faster exported.

    `ResizeLike` multiplies by matrices where sizes are unknown or corners aligned, for Keras has no
    operation that takes both. TensorFlow has, and runtimes have kernels for it. Layers that resize
    inside of others stay as they are.
    """

    def native(layer):
        if isinstance(layer, ResizeLike) and layer.interpolation == "bilinear":
            return NativeResize(layer.align_corners, name=layer.name, dtype=layer.dtype_policy)
        return layer

    return keras.models.clone_model(served, clone_function=native, recursive=True)


class NativeResize(keras.layers.Layer):
    """`ResizeLike` for bilinear maps in float32, on the TensorFlow backend alone."""

    def __init__(self, align_corners, **kwargs):
        super().__init__(**kwargs)
        self.align_corners = align_corners

    def call(self, inputs):
        import tensorflow as tf

        x, reference = inputs
        y = tf.raw_ops.ResizeBilinear(
            images=x,
            size=tf.shape(reference)[1:3],
            align_corners=self.align_corners,
            half_pixel_centers=not self.align_corners,
        )
        return tf.ensure_shape(y, (*reference.shape[:3], x.shape[3]))

    def compute_output_shape(self, input_shape):
        x_shape, reference_shape = input_shape
        return (*reference_shape[:3], x_shape[3])
