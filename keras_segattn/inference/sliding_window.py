"""Sliding windows for images that are too large for the network, blended in overlaps."""

import math

import numpy as np


def blended_bands(predict, size, window, overlap, batch_size):
    """Slides a window over an image and yields finished bands of rows, from top to bottom.

    Every pixel is a weighted average over the windows that contain it. A window's weight falls
    linearly from its center to its sides. The weights are products of one factor per axis, and so
    is their sum. Only one row of windows is in memory at a time.

    Args:
        predict: Callable from a list of pairs `(top, left)` to the values of these windows, an
            array `(count, *window, channels)`.
        size: Tuple `(height, width)` of the image.
        window: Tuple `(height, width)`, no larger than the image.
        overlap: Float, the minimum overlap of neighboring windows as a fraction of a window.
        batch_size: Integer, the number of windows per call of `predict`.

    Yields:
        Tuples of the first row of a band and its values `(rows, width, channels)`.
    """
    tops, lefts = (_starts(*sides, overlap) for sides in zip(size, window, strict=True))
    row_ramp, column_ramp = (_ramp(side) for side in window)
    row_sum = _sum_of_ramps(row_ramp, tops, size[0])
    column_sum = _sum_of_ramps(column_ramp, lefts, size[1])
    ramps = row_ramp[:, None, None] * column_ramp[:, None]
    buffer = None
    for top, following in zip(tops, [*tops[1:], size[0]], strict=True):
        for first in range(0, len(lefts), batch_size):
            chosen = lefts[first : first + batch_size]
            values = predict([(top, left) for left in chosen])
            if buffer is None:
                buffer = np.zeros((window[0], size[1], values.shape[-1]), dtype="float32")
            for left, value in zip(chosen, values, strict=True):
                buffer[:, left : left + window[1]] += ramps * value
        done = following - top
        yield top, buffer[:done] / (row_sum[top:following, None, None] * column_sum[:, None])
        buffer[: len(buffer) - done] = buffer[done:]
        buffer[len(buffer) - done :] = 0


def _starts(side, window, overlap):
    """Returns evenly spaced starts; the first window is at 0 and the last at the end."""
    count = 1 + math.ceil((side - window) / max(1, window * (1 - overlap)))
    return [round(start) for start in np.linspace(0, side - window, count)]


def _ramp(side):
    ascending = np.arange(1, side + 1, dtype="float32") / side
    return np.minimum(ascending, ascending[::-1])


def _sum_of_ramps(ramp, starts, side):
    total = np.zeros(side, dtype="float32")
    for start in starts:
        total[start : start + len(ramp)] += ramp
    return total
