"""Samples as a tf.data pipeline: read in parallel, in a fixed order."""

from keras_segattn.data.sampler import MIXED_SIZES


def tf_dataset(sampler, preprocessing=None, first_epoch=0, split=1):
    """Returns the batches of a `Sampler` as a `tf.data.Dataset`; see `SegmentationDataset`.

    Each batch comes in `split` equal parts, one after the other.
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
        image, mask = tf.numpy_function(sampler.read, (epoch, index), (tf.uint8, tf.uint8))
        image.set_shape((None, None, sampler.channels))
        mask.set_shape((None, None))
        if sampler.weights is None:
            return image, mask, tf.shape(mask)
        weight = tf.numpy_function(sampler.weights_of, [index], tf.float32)
        weight.set_shape(())
        return image, mask, tf.shape(mask), weight

    def finish(images, masks, sizes, *weights):
        check = tf.debugging.assert_equal(sizes, sizes[:1], message=MIXED_SIZES)
        with tf.control_dependencies([check]):
            images = tf.identity(images)
        return images if preprocessing is None else preprocessing(images), masks, *weights

    last_epoch = tf.int64.max if sampler.training else first_epoch + 1
    epochs = tf.data.Dataset.range(first_epoch, last_epoch)
    pipeline = epochs.flat_map(indices).map(read, num_parallel_calls=tf.data.AUTOTUNE)
    # Padding changes nothing where sizes are equal, and lets the message be ours.
    pipeline = pipeline.padded_batch(sampler.part_size // split)
    pipeline = pipeline.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    if not sampler.training:
        pipeline = pipeline.apply(tf.data.experimental.assert_cardinality(sampler.batches * split))
    return pipeline.prefetch(tf.data.AUTOTUNE)
