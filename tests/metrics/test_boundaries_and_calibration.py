"""Boundary IoU and calibration error against plain NumPy, for each task."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from keras_segattn.metrics import BoundaryIoU, CalibrationError
from tests.losses.cases import TASKS, draw_batch, regions

with_tasks = pytest.mark.parametrize("task", TASKS)


def near(region, valid, distance):
    """As in the authors' code: the region minus its erosion by `distance` steps."""
    padded = np.pad(region | ~valid, 1)
    eroded = ndimage.binary_erosion(padded, np.ones((3, 3)), iterations=distance)
    return region & ~eroded[1:-1, 1:-1]


@with_tasks
@pytest.mark.parametrize("distance", [1, 2])
def test_boundary_iou_agrees_with_erosion(task, distance, rng):
    labels, logits = draw_batch(task, rng)
    classes = 2 if task == "binary" else 3
    if task == "multilabel":
        truth, found, known = labels == 1, logits > 0, labels != 255
    else:
        predicted = (logits[..., 0] > 0) if task == "binary" else logits.argmax(-1)
        truth, found = (x[..., None] == np.arange(classes) for x in (labels, predicted))
        known = np.broadcast_to((labels != 255)[..., None], truth.shape)
    both, union = np.zeros(classes), np.zeros(classes)
    for image in range(2):
        for c in range(classes):
            valid = known[image, ..., c]
            parts = [near(x[image, ..., c], valid, distance) & valid for x in (truth, found)]
            both[c] += (parts[0] & parts[1]).sum()
            union[c] += (parts[0] | parts[1]).sum()
    names = list("abc")[:classes]
    metric = BoundaryIoU(classes, distance, class_names=names, task=task)
    metric.update_state(labels, logits)
    result = {name: float(value) for name, value in metric.result().items()}
    assert result["boundary_iou"] == pytest.approx((both / union).mean(), rel=1e-5)
    assert [result[f"boundary_iou_{n}"] for n in names] == pytest.approx(both / union, rel=1e-5)
    copy = BoundaryIoU.from_config(metric.get_config())
    assert copy.get_config() == metric.get_config()


def test_the_distance_is_two_percent_of_the_diagonal():
    labels = np.zeros((1, 60, 80), "uint8")
    labels[:, :, 40:] = 1
    found = np.roll(labels, 1, axis=2)
    found[:, :, 0] = 0
    values = []
    for distance in (None, 2, 3):
        metric = BoundaryIoU(2, distance, task="binary")
        metric.update_state(labels, 2.0 * found[..., None] - 1)
        values.append(float(metric.result()))
    assert values[0] == values[1] != values[2]
    with pytest.raises(ValueError, match=r"Pass `distance` in pixels to the metric 'boundary_iou'"):
        BoundaryIoU(2, task="binary")._distance((None, 80))


@with_tasks
@pytest.mark.parametrize("from_logits", [True, False])
def test_calibration_agrees_with_the_equation(task, from_logits, rng):
    labels, logits = draw_batch(task, rng)
    truth, p, valid = regions(labels, logits, task)
    if task == "multiclass":
        known = valid[..., 0] > 0
        right = (p.argmax(-1) == labels)[known]
        p = p.max(-1)[known]
    else:
        right, p = truth[valid > 0], p[valid > 0]
    bins = np.minimum((p * 15).astype(int), 14)
    error = sum(
        (bins == b).mean() * abs(right[bins == b].mean() - p[bins == b].mean()) for b in set(bins)
    )
    metric = CalibrationError(2 if task == "binary" else 3, task=task, from_logits=from_logits)
    outputs = logits
    if not from_logits:
        function = keras.ops.softmax if task == "multiclass" else keras.ops.sigmoid
        outputs = function(logits)
    metric.update_state(labels, outputs)
    assert float(metric.result()) == pytest.approx(error, rel=1e-4)
    copy = CalibrationError.from_config(metric.get_config())
    assert copy.get_config() == metric.get_config()


def test_a_network_that_is_calibrated(rng):
    p = rng.random((1, 200, 200, 1))
    labels = (rng.random((1, 200, 200)) < p[..., 0]).astype("uint8")
    metric = CalibrationError(2, task="binary", from_logits=False)
    metric.update_state(labels, p)
    assert float(metric.result()) < 0.02
    sure = CalibrationError(2, task="binary", from_logits=False)
    sure.update_state(labels, np.round(p))
    assert float(sure.result()) > 0.2


@pytest.mark.parametrize("make", [BoundaryIoU, CalibrationError])
def test_void_and_faulty_labels(make, rng):
    labels, logits = draw_batch("multiclass", rng)
    options = {"distance": 1} if make is BoundaryIoU else {}
    values = []
    for fill in (0.0, np.nan):
        metric = make(3, **options)
        metric.update_state(labels, np.where((labels == 255)[..., None], fill, logits))
        values.append(float(metric.result()))
    if make is CalibrationError:
        assert values[0] == values[1]
    assert np.isfinite(values).all()
    labels[0, 0, 0] = 9
    with pytest.raises(ValueError, match=r"Received 9"):
        metric.update_state(labels, logits)
    metric.update_state(keras.ops.convert_to_tensor(labels), logits)
    assert np.isnan(float(metric.result()))


def test_refusals():
    with pytest.raises(ValueError, match=r"`distance` must be at least 1"):
        BoundaryIoU(3, 0)
    with pytest.raises(ValueError, match=r"must hold 3 names"):
        BoundaryIoU(3, class_names=["a"])
    with pytest.raises(ValueError, match=r"`num_bins` must be at least 1"):
        CalibrationError(3, num_bins=0)
