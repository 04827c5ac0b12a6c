"""ROIAlign against NumPy."""

import keras
import numpy as np
import pytest

from keras_segattn.detection import ROIAlign
from tests.detection.cases import maps
from tests.detection.oracles import align, random_boxes
from tests.training import to_numpy, trained_step


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_values_are_those_of_the_definition(aligned, samples, rng):
    features = maps(rng, 300, 260, 2, levels=("P2", "P3", "P4", "P5"))
    # Of all levels, beyond the borders, and without area.
    boxes = random_boxes(rng, 2, 8, height=280, width=240)
    boxes[:, 1:5] *= np.arange(1, 5)[None, :, None]
    boxes[:, 5, 2:] = boxes[:, 5, :2] + 230
    boxes[:, 6] = [-40, -40, 500, 500]
    boxes[:, 7] = [9, 9, 9, 20]
    got = to_numpy(ROIAlign(3, samples, aligned)(boxes, features))
    for image in range(2):
        one = {level: x[image] for level, x in features.items()}
        for box in range(8):
            want = align(boxes[image, box], one, 3, samples, aligned)
            np.testing.assert_allclose(got[image, box], want, atol=2e-5)


def test_boxes_of_a_size_are_read_from_the_level_of_the_paper():
    features = {f"P{n}": np.full((1, 600, 600, 1), n, "float32") for n in range(2, 6)}
    boxes = np.array([[[0, 0, side, side] for side in (60, 112, 223, 224, 448, 2000)]], "float32")
    levels = to_numpy(ROIAlign(1)(boxes, features))
    np.testing.assert_allclose(levels[0, :, 0, 0, 0], [2, 3, 3, 4, 5, 5], rtol=1e-6)


def test_gradients_reach_the_features_and_not_the_boxes(rng):
    features = maps(rng, 40, 56, 2)
    boxes = random_boxes(rng, 2, 3)
    symbols = [keras.Input((3, 4)), *(keras.Input((None, None, 2)) for _ in features)]
    moved = keras.layers.Dense(4, kernel_initializer="identity", name="boxes")(symbols[0])
    levels = {
        level: keras.layers.Conv2D(2, 1, name=level)(x)
        for level, x in zip(features, symbols[1:], strict=True)
    }
    pooled = keras.layers.Flatten()(ROIAlign(3)(moved, levels))
    # Torch needs a path from every weight to the loss.
    pooled = keras.layers.Concatenate()([pooled, 0 * keras.layers.Flatten()(moved)])
    changes = trained_step(
        keras.Model(symbols, pooled), [boxes, *features.values()], np.zeros((2, 66), "float32")
    )
    assert {path.split("/")[0] for path, change in changes.items() if np.abs(change).max() > 0} == {
        "P2"
    }
