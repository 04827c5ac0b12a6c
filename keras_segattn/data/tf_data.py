"""Data sets as tf.data pipelines, for `fit` and `evaluate` on any backend."""

import functools

import numpy as np


def training_dataset(
    dataset,
    batch_size,
    augmentation,
    preprocess=None,
    seed=0,
    first_epoch=0,
    cache=False,
):
    """Returns an endless, shuffled and augmented `tf.data.Dataset` of batches.

    Sample order and augmentation depend on `seed`, the epoch and the sample alone, so that a run
    that is resumed at an epoch sees what it would have seen.

    Args:
        dataset: A `SegmentationDataset`.
        batch_size: Integer. An epoch has `len(dataset) // batch_size` batches; pass that as
            `steps_per_epoch` to `fit`.
        augmentation: Callable `(image, mask, rng) -> (image, mask)` whose results all have one
            size, such as `RandomScaleCropFlip`.
        preprocess: Callable for a batch of images, or `None`. Defaults to `None`.
        seed: Integer. Defaults to `0`.
        first_epoch: Integer, the epoch to start at. Defaults to `0`.
        cache: Boolean, whether to keep the decoded images in memory. Defaults to `False`.

    Returns:
        A `tf.data.Dataset` of pairs: images `(batch, height, width, 3)` and uint8 masks
        `(batch, height, width)`.

    Raises:
        ValueError: If the data set is smaller than a batch.
    """
    import tensorflow as tf

    steps = len(dataset) // batch_size
    if not steps:
        raise ValueError(f"{len(dataset)} samples do not fill a batch of {batch_size}.")
    read = functools.lru_cache(maxsize=None)(dataset.read) if cache else dataset.read

    def order(epoch):
        # Whole batches only; what is left over differs from epoch to epoch.
        return np.random.default_rng((seed, epoch)).permutation(len(dataset))[: steps * batch_size]

    def sample(epoch, index):
        image, mask = read(int(index))
        # The third number keeps the samples' generators apart from those of the orders.
        return augmentation(image, mask, np.random.default_rng((seed, epoch, index + 1)))

    def indices(epoch):
        index = tf.numpy_function(order, [epoch], tf.int64)
        return tf.data.Dataset.from_tensor_slices(index).map(lambda i: (epoch, i))

    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    pipeline = epochs.flat_map(indices).map(_reader(sample), num_parallel_calls=tf.data.AUTOTUNE)
    return _batches(pipeline, batch_size, preprocess)


def evaluation_dataset(dataset, batch_size, preprocess=None):
    """Returns a `tf.data.Dataset` of every sample once, in order and unchanged.

    Args:
        dataset: A `SegmentationDataset` whose images all have one size (or `batch_size=1`).
        batch_size: Integer. The last batch may be smaller.
        preprocess: Callable for a batch of images, or `None`. Defaults to `None`.

    Returns:
        A `tf.data.Dataset` of pairs: images `(batch, height, width, 3)` and uint8 masks
        `(batch, height, width)`.
    """
    import tensorflow as tf

    pipeline = tf.data.Dataset.range(len(dataset)).map(
        _reader(lambda index: dataset.read(int(index))), num_parallel_calls=tf.data.AUTOTUNE
    )
    return _batches(pipeline, batch_size, preprocess)


def _reader(function):
    import tensorflow as tf

    def read(*arguments):
        image, mask = tf.numpy_function(function, arguments, (tf.uint8, tf.uint8))
        image.set_shape((None, None, 3))
        mask.set_shape((None, None))
        return image, mask

    return read


def _batches(pipeline, batch_size, preprocess):
    import tensorflow as tf

    pipeline = pipeline.batch(batch_size)
    if preprocess is not None:
        pipeline = pipeline.map(
            lambda images, masks: (preprocess(images), masks), num_parallel_calls=tf.data.AUTOTUNE
        )
    return pipeline.prefetch(tf.data.AUTOTUNE)
