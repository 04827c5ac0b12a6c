"""Resizing with TensorFlow's operators in exports; converters map them to each runtime's own."""

import math

from keras_segattn.layers.resize_like import nearest, resize_kernels


def native_resize():
    """Context manager: makes `ResizeLike` use TensorFlow's operators where possible.

    Bilinear: for unknown sizes or aligned corners, `ResizeLike` multiplies by matrices because
        Keras has no operation that supports them. TensorFlow has one, and runtimes have kernels for
        it. Nearest: `ResizeLike` gathers pixels; runtimes are faster at repeating them.
    """
    return resize_kernels(nearest=_nearest, bilinear=_bilinear)


def _nearest(x, source, target, align_corners):
    import tensorflow as tf

    # Runtimes locate a pixel by a float32 product, which is exact for powers of two. LiteRT has no
    # kernel for class maps, which contain integers.
    if align_corners or not x.dtype.is_floating or not _is_doubled(source, target):
        return nearest(x, source, target, align_corners)
    return tf.raw_ops.ResizeNearestNeighbor(images=x, size=target)


def _is_doubled(source, target):
    """Returns whether sizes are known and the target is the source times a power of two."""
    if not all(isinstance(size, int) and size > 0 for size in (*source, *target)):
        return False
    times = [large / small for small, large in zip(source, target, strict=True)]
    return all(n >= 1 and math.log2(n).is_integer() for n in times)


def _bilinear(x, source, target, align_corners):
    import tensorflow as tf

    y = tf.raw_ops.ResizeBilinear(
        images=x,
        size=target,
        align_corners=align_corners,
        half_pixel_centers=not align_corners,
    )
    sizes = [size if isinstance(size, int) else None for size in target]
    return tf.ensure_shape(y, (x.shape[0], *sizes, x.shape[3]))
