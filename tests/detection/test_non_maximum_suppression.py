"""Non-maximum suppression against the greedy algorithm."""

import numpy as np
import pytest

from keras_segattn.detection import NonMaximumSuppression
from tests.detection.oracles import random_boxes, suppress
from tests.training import to_numpy


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("classes", [1, 3])
def test_it_is_the_greedy_algorithm(threshold, classes, rng):
    boxes, labels = random_boxes(rng, 3, 60), rng.integers(0, classes, (3, 60))
    # Equal scores too, which their order decides.
    scores = rng.integers(0, 20, (3, 60)).astype("float32")
    layer = NonMaximumSuppression(threshold)
    keep = to_numpy(layer(boxes, scores, labels))
    for i in range(3):
        want = suppress(boxes[i], scores[i], labels[i], threshold)
        np.testing.assert_array_equal(keep[i], want)
    if classes == 1:
        np.testing.assert_array_equal(to_numpy(layer(boxes, scores)), keep)


def test_a_chain_in_which_every_second_box_stays():
    # The worst case: whether the last box stays hangs on all others.
    left = np.arange(25, dtype="float32") * 5
    boxes = np.stack([left, 0 * left, left + 10, 0 * left + 10], axis=-1)[None]
    keep = to_numpy(NonMaximumSuppression(0.2)(boxes, -left[None]))
    np.testing.assert_array_equal(keep[0], np.arange(25) % 2 == 0)


def test_refusal_names_the_value():
    with pytest.raises(ValueError, match=r"`iou_threshold` must be from 0 to 1. Received: 50"):
        NonMaximumSuppression(50)
