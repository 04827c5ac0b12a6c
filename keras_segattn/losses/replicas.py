"""Sums over the replicas of a `tf.distribute` strategy.

On JAX, a distributed batch is one array, so a sum already covers the whole batch. TensorFlow runs
the loss once per replica, on the replica's part of the batch.
"""

import keras


def count_replicas():
    """Returns the number of replicas; 1 without a strategy."""
    context = _replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def sum_over_replicas(x):
    """Returns the sum of a tensor over all replicas; with one replica, the tensor itself."""
    context = _replica_context()
    return x if context is None else context.all_reduce("SUM", x)


def gather_from_replicas(x):
    """Concatenates the vectors of all replicas; with one replica, returns the vector itself."""
    context = _replica_context()
    return x if context is None else context.all_gather(x, axis=0)


def _replica_context():
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context
