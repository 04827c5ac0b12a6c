"""Gathers rows of a batch by index."""

from keras import ops


def gather_rows(x, index):
    """Returns `y[b, i] = x[b, index[b, i]]`.

    Args:
        x: Tensor of shape `(batch, rows, ...)`.
        index: Integer tensor of shape `(batch, count)`.
    """
    batch, rows = ops.shape(x)[:2]
    rest = tuple(x.shape[2:])
    start = ops.expand_dims(ops.arange(0, batch, 1, dtype="int32") * rows, 1)
    flat = ops.reshape(x, (-1, *rest))
    taken = ops.take(flat, ops.reshape(ops.cast(index, "int32") + start, (-1,)), axis=0)
    return ops.reshape(taken, (-1, index.shape[1], *rest))
