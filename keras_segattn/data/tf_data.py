"""Samples as a tf.data pipeline: read in parallel, in a fixed order."""


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
        image.set_shape((None, None, 3))
        mask.set_shape((None, None))
        return image, mask

    last_epoch = tf.int64.max if sampler.training else first_epoch + 1
    epochs = tf.data.Dataset.range(first_epoch, last_epoch)
    pipeline = epochs.flat_map(indices).map(read, num_parallel_calls=tf.data.AUTOTUNE)
    pipeline = pipeline.batch(sampler.part_size // split)
    if preprocessing is not None:
        pipeline = pipeline.map(
            lambda images, masks: (preprocessing(images), masks),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    if not sampler.training:
        pipeline = pipeline.apply(tf.data.experimental.assert_cardinality(sampler.batches * split))
    return pipeline.prefetch(tf.data.AUTOTUNE)
