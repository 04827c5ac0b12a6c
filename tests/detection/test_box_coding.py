"""Encoding and decoding of boxes."""

import numpy as np

from keras_segattn.detection import decode_boxes, encode_boxes
from keras_segattn.detection.box_coding import clip_boxes
from tests.detection.oracles import decode, random_boxes
from tests.training import to_numpy

WEIGHTS = (10, 10, 5, 5)


def test_decoding_is_the_definition_and_undoes_encoding(rng):
    anchors, boxes = random_boxes(rng, 2, 30), random_boxes(rng, 2, 30)
    deltas = to_numpy(encode_boxes(boxes, anchors, WEIGHTS))
    np.testing.assert_allclose(to_numpy(decode_boxes(deltas, anchors, WEIGHTS)), boxes, atol=1e-4)
    want = [
        decode(delta / np.array(WEIGHTS), anchor)
        for delta, anchor in zip(deltas.reshape(-1, 4), anchors.reshape(-1, 4), strict=True)
    ]
    np.testing.assert_allclose(np.reshape(want, boxes.shape), boxes, atol=1e-4)


def test_boxes_without_area_and_huge_deltas_stay_finite(rng):
    anchors = random_boxes(rng, 5)
    flat = anchors.copy()
    flat[:, 2] = flat[:, 0]
    assert np.isfinite(to_numpy(encode_boxes(flat, anchors))).all()
    assert np.isfinite(to_numpy(encode_boxes(anchors, flat))).all()
    boxes = to_numpy(decode_boxes(np.full((5, 4), 1e4, "float32"), anchors))
    widths = anchors[:, 2] - anchors[:, 0]
    np.testing.assert_allclose(boxes[:, 2] - boxes[:, 0], 62.5 * widths, rtol=1e-3)


def test_boxes_are_clipped_to_the_images_or_to_their_sizes():
    boxes = np.array([[[-3, -5, 50, 60], [2, 3, 4, 70]]] * 2, "float32")
    image = np.zeros((2, 32, 48, 3), "float32")
    got = to_numpy(clip_boxes(boxes, image))
    np.testing.assert_array_equal(got, [[[0, 0, 48, 32], [2, 3, 4, 32]]] * 2)
    got = to_numpy(clip_boxes(boxes, np.array([[32, 48], [20, 10]])))
    np.testing.assert_array_equal(got[0], [[0, 0, 48, 32], [2, 3, 4, 32]])
    np.testing.assert_array_equal(got[1], [[0, 0, 10, 20], [2, 3, 4, 20]])
