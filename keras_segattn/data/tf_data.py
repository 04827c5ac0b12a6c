"""A tf.data pipeline of samples: read in parallel, in a fixed order."""

import numpy as np

from keras_segattn.data.sampler import MIXED_SIZES


def tf_dataset(sampler, preprocessing=None, first_epoch=0, split=1, endless=False):
    """Returns the batches of a `Sampler` as a `tf.data.Dataset`; see `SegmentationDataset`.

    Each batch comes in `split` equal parts, one after another. For training, an `endless` dataset
    yields one epoch after another without counting; otherwise each pass over it yields the next
    epoch.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "tf.data pipelines need TensorFlow: pip install 'keras-segattn[tensorflow]', or use "
            "`to_py_dataset`"
        ) from error

    def indices(epoch):
        index = tf.numpy_function(sampler.order, [epoch], tf.int64)
        return tf.data.Dataset.from_tensor_slices(index).map(lambda i: (epoch, i))

    def read(epoch, index):
        dtypes = [tf.uint8, tf.uint8] + ([] if sampler.weights is None else [tf.float32])
        image, mask, *weights = tf.numpy_function(sampler.read, (epoch, index), dtypes)
        image.set_shape((None, None, sampler.channels))
        mask.set_shape((None, None, *sampler.mask_axes))
        for weight in weights:
            weight.set_shape((None, None) if sampler.weighs_pixels else ())
        return image, mask, tf.shape(mask)[:2], *weights

    def finish(images, masks, sizes, *weights):
        check = tf.debugging.assert_equal(sizes, sizes[:1], message=MIXED_SIZES)
        with tf.control_dependencies([check]):
            images = tf.identity(images)
        return images if preprocessing is None else preprocessing(images), masks, *weights

    elements = sampler.batches * split
    epoch = _Epoch(first_epoch, elements if sampler.training else None)
    if endless:
        epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    else:
        epochs = tf.data.Dataset.range(1)
        epochs = epochs.map(lambda _: tf.numpy_function(epoch.current, [], tf.int64))
    pipeline = epochs.flat_map(indices).map(read, num_parallel_calls=tf.data.AUTOTUNE)
    # Padding has no effect if sizes are equal, and otherwise allows our own message. In training,
    # all batches are full, and this sets their size.
    size = sampler.part_size // split
    pipeline = pipeline.padded_batch(size, drop_remainder=sampler.training)
    pipeline = pipeline.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    pipeline = pipeline.prefetch(tf.data.AUTOTUNE)
    if endless:
        return pipeline

    def count(number, batch):
        with tf.control_dependencies([tf.numpy_function(epoch.count, [number], tf.int64)]):
            return tf.nest.map_structure(tf.identity, batch)

    # After prefetching, so that only requested batches count.
    pipeline = pipeline.enumerate().map(count)
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    pipeline = pipeline.apply(tf.data.experimental.assert_cardinality(elements))
    return pipeline.with_options(options)


class _Epoch:
    """The epoch of the next pass over a dataset.

    An epoch counts when its last element is taken: to build a model, Keras takes the first batch
    and then restarts.
    """

    def __init__(self, number, elements):
        self._number = number
        self._elements = elements

    def current(self):
        return np.int64(self._number)

    def count(self, element):
        self._number += int(element + 1 == self._elements)
        return element
