"""Region proposals against NumPy."""

import keras
import numpy as np
import pytest

from keras_segattn.detection import RegionProposal
from tests.detection.cases import proposal_inputs
from tests.detection.oracles import ANCHORS, propose
from tests.training import to_numpy


@pytest.mark.parametrize(("count", "training"), [(30, None), (15, True), (900, None)])
def test_proposals_are_those_of_the_definition(count, training, rng):
    objectness, deltas, image = proposal_inputs(rng, 40, 56)
    counts = (7, count) if training else (count, 7)
    layer = RegionProposal(*counts, iou_threshold=0.4, anchor_sizes=ANCHORS)
    boxes, scores = (to_numpy(x) for x in layer(objectness, deltas, image, training=training))
    assert boxes.shape == (2, count, 4)
    for i in range(2):
        want = propose(
            {level: x[i] for level, x in objectness.items()},
            {level: x[i] for level, x in deltas.items()},
            (40, 56),
            count,
            0.4,
        )
        np.testing.assert_allclose(boxes[i, : len(want)], [box for _, box in want], atol=1e-4)
        np.testing.assert_allclose(scores[i, : len(want)], [s for s, _ in want], atol=1e-6)
        # 900 boxes are more than there are anchors.
        assert (len(want) < count) == (count == 900)
        assert (boxes[i, len(want) :] == 0).all() and (scores[i, len(want) :] == -1).all()


def test_boxes_outside_of_the_image_are_dropped():
    objectness = {"P4": np.ones((1, 2, 2, 1), "float32")}
    deltas = {"P4": np.zeros((1, 2, 2, 4), "float32")}
    deltas["P4"][0, 0, 0] = [-9, 0, 0, 0]
    layer = RegionProposal(4, anchor_sizes={"P4": 16}, aspect_ratios=[1.0])
    image = np.zeros((1, 32, 32, 3), "float32")
    _, scores = layer(objectness, deltas, image)
    assert (to_numpy(scores) >= 0).sum() == 3


def test_anchors_are_torchvisions():
    layer = RegionProposal()
    assert layer.anchor_sizes == {"P2": 32, "P3": 64, "P4": 128, "P5": 256, "P6": 512}
    maps = {level: np.zeros((1, 2, 2, 1)) for level in layer.anchor_sizes}
    anchors = to_numpy(layer.anchors(maps)["P2"])
    # torchvision's AnchorGenerator, of its cell_anchors for 32 pixels and the shift of one cell.
    cell = [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]
    np.testing.assert_array_equal(anchors[:3], cell)
    np.testing.assert_array_equal(anchors[3:6], np.add(cell, [4, 0, 4, 0]))


def test_anchors_are_those_of_maskrcnn_benchmark():
    maps = {level: np.zeros((1, 1, 2, 1)) for level in ("P2", "P4")}
    layer = RegionProposal(anchor_style="maskrcnn_benchmark", anchor_sizes={"P2": 32, "P4": 128})
    # Its generate_anchors(4, (32,), (0.5, 1, 2)) and (16, (128,), ...), whose boxes hold the last
    # row and column.
    cells = {
        "P2": [[-22, -10, 25, 13], [-14, -14, 17, 17], [-10, -22, 13, 25]],
        "P4": [[-84, -40, 99, 55], [-56, -56, 71, 71], [-36, -80, 51, 95]],
    }
    for level, anchors in layer.anchors(maps).items():
        want = np.add(cells[level], [0, 0, 1, 1])
        np.testing.assert_array_equal(to_numpy(anchors)[:3], want)
        step = 2 ** int(level[1])
        np.testing.assert_array_equal(to_numpy(anchors)[3:], np.add(want, [step, 0, step, 0]))
    assert RegionProposal.from_config(layer.get_config()).anchor_style == layer.anchor_style
    with pytest.raises(ValueError, match="anchor_style"):
        RegionProposal(anchor_style="detectron")


def test_refusal_names_the_value():
    with pytest.raises(ValueError, match=r"`count` must be at least 1. Received: 0"):
        RegionProposal(0)
    assert keras.saving.get_registered_name(RegionProposal) == "keras_segattn>RegionProposal"
