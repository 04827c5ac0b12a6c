"""Exports resize by TensorFlow's operator, which converters turn into that of each runtime."""

import contextlib

from keras_segattn.layers import ResizeLike


@contextlib.contextmanager
def native_resize():
    """Within it, `ResizeLike` resizes bilinear maps by TensorFlow's operator, and is traced so.

    `ResizeLike` multiplies by matrices where sizes are unknown or corners aligned, for Keras has no
    operation that takes both. TensorFlow has, and runtimes have kernels for it.
    """
    by_keras = ResizeLike._bilinear
    ResizeLike._bilinear = _bilinear
    try:
        yield
    finally:
        ResizeLike._bilinear = by_keras


def _bilinear(layer, x, source, target):
    import tensorflow as tf

    y = tf.raw_ops.ResizeBilinear(
        images=x,
        size=target,
        align_corners=layer.align_corners,
        half_pixel_centers=not layer.align_corners,
    )
    sizes = [size if isinstance(size, int) else None for size in target]
    return tf.ensure_shape(y, (x.shape[0], *sizes, x.shape[3]))
