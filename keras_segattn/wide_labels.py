"""Labels of 64 bits on JAX, which by default keeps only the lower 32."""

import copy
import functools

import keras
import numpy as np

# Neither can be a class, so a label outside becomes one that is refused.
LEAST, MOST = -(2**31), 2**31 - 1


def bound_labels(data):
    """Bounds the labels of a data set to 32 bits on JAX, where 2^40 would become class 0.

    A bounded label is still not a class, so the loss and the scores are NaN.

    Args:
        data: Any `x` of `fit` except arrays: a generator, a `keras.utils.PyDataset`, a
            `tf.data.Dataset` or torch's `DataLoader`. Anything else is returned unchanged, and so
            are JAX arrays in batches, because JAX has already cut their labels.

    Returns:
        Data of the same kind.
    """
    if keras.backend.backend() != "jax" or data is None or isinstance(data, (np.ndarray, tuple)):
        return data
    # The labels of this package's data sets have 8 bits.
    if isinstance(data, keras.utils.PyDataset) and not getattr(data, "shuffles_itself", False):
        return _BoundedPyDataset(data)
    if hasattr(data, "element_spec") and hasattr(data, "map"):
        return _bound_pipeline(data)
    if hasattr(data, "collate_fn"):
        loader = copy.copy(data)
        loader.collate_fn = functools.partial(_collate, data.collate_fn)
        return loader
    if hasattr(data, "__next__"):
        return (_bound_batch(batch) for batch in data)
    return data


class _BoundedPyDataset(keras.utils.PyDataset):
    def __init__(self, data):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self.data = data

    @property
    def num_batches(self):
        return self.data.num_batches

    def __getitem__(self, index):
        return _bound_batch(self.data[index])

    def on_epoch_begin(self):
        self.data.on_epoch_begin()

    def on_epoch_end(self):
        self.data.on_epoch_end()


def _bound_pipeline(data):
    spec = data.element_spec
    is_wide = isinstance(spec, tuple) and any(
        getattr(labels, "dtype", None) in ("int64", "uint64")
        for labels in keras.tree.flatten(spec[1:2])
    )
    if not is_wide:
        return data

    def bound(images, labels, *weights):
        import tensorflow as tf

        labels = keras.tree.map_structure(lambda one: tf.saturate_cast(one, tf.int32), labels)
        return (images, labels, *weights)

    return data.map(bound)


def _collate(collate, samples):
    return _bound_batch(collate(samples))


def _bound_batch(batch):
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        return batch
    images, labels, *weights = batch
    return (images, keras.tree.map_structure(_bound, labels), *weights)


def _bound(labels):
    if hasattr(labels, "clamp"):  # of torch
        return labels if labels.is_floating_point() else labels.clamp(LEAST, MOST)
    if type(labels).__module__.startswith("jax"):
        return labels
    values = np.asarray(labels)
    if values.dtype not in ("int64", "uint64"):
        return labels
    return np.clip(values, max(LEAST, np.iinfo(values.dtype).min), MOST)
