"""Selection of evenly spread items."""

import numpy as np


def evenly_spread(length, count):
    """Returns up to `count` different indices below `length`, evenly spread from first to last.

    Example:

    >>> evenly_spread(101, 3), evenly_spread(2, 5)
    ([0, 50, 100], [0, 1])
    """
    return np.linspace(0, length - 1, min(count, length), dtype=int).tolist()
