"""The losses of regions against plain NumPy and published values."""

import numpy as np
import pytest
from scipy import ndimage

from keras_segattn import losses
from tests.losses.cases import TASKS, draw_batch, regions

with_tasks = pytest.mark.parametrize("task", TASKS)


def overlap(labels, logits, task, score, per_image):
    """One minus a score of hits, false positives and false negatives, the mean over classes."""
    truth, p, valid = regions(labels, logits, task)
    images = [slice(i, i + 1) for i in range(len(truth))] if per_image else [slice(None)]
    values = []
    for i in images:
        t, q, v = truth[i], p[i], valid[i]
        sums = [(part * v).sum(axis=(0, 1, 2)) for part in (q * t, q * (1 - t), (1 - q) * t)]
        values.append((1 - score(*sums)).mean())
    return np.mean(values)


@with_tasks
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("smooth", [0.0, 1.0, 10.0])
def test_overlaps_agree_with_the_equations(task, per_image, smooth, rng):
    batch = draw_batch(task, rng)
    scores = {
        losses.DiceLoss: lambda h, fp, fn: (2 * h + smooth) / (2 * h + fp + fn + smooth),
        losses.JaccardLoss: lambda h, fp, fn: (h + smooth) / (h + fp + fn + smooth),
        losses.TverskyLoss: lambda h, fp, fn: (h + smooth) / (h + 0.3 * fp + 0.7 * fn + smooth),
    }
    for make, score in scores.items():
        loss = make(smooth=smooth, per_image=per_image, task=task)
        want = overlap(*batch, task, score, per_image)
        np.testing.assert_allclose(float(loss(*batch)), want, rtol=1e-5)
    loss = losses.FocalTverskyLoss(0.6, 0.4, 2.0, smooth=smooth, per_image=per_image, task=task)
    want = overlap(
        *batch,
        task,
        lambda h, fp, fn: 1 - (1 - (h + smooth) / (h + 0.6 * fp + 0.4 * fn + smooth)) ** 0.5,
        per_image,
    )
    np.testing.assert_allclose(float(loss(*batch)), want, rtol=1e-4)


def test_values_of_segmentation_models_pytorch():
    """`DiceLoss`, `JaccardLoss` and `TverskyLoss` of its 0.5 on four pixels with an ignored one.

    Its code, `1 - (2 * sum p t) / (sum p + sum t)` after both are multiplied by the mask of what
    is not ignored, gives these for the probabilities 0.9, 0.2, 0.6 of the labels 1, 0, 1.
    """
    labels = np.array([[[1, 0, 1, 255]]])
    p = np.array([0.9, 0.2, 0.6, 0.7], "float32").reshape(1, 1, 4, 1)
    arguments = {"smooth": 0.0, "from_logits": False}
    dice = losses.DiceLoss(**arguments)(labels, p)
    np.testing.assert_allclose(float(dice), 1 - 2 * 1.5 / (1.7 + 2), rtol=1e-6)
    jaccard = losses.JaccardLoss(**arguments)(labels, p)
    np.testing.assert_allclose(float(jaccard), 1 - 1.5 / 2.2, rtol=1e-6)
    tversky = losses.TverskyLoss(0.5, 0.5, **arguments)(labels, p)
    np.testing.assert_allclose(float(tversky), float(dice), rtol=1e-6)


def test_a_class_that_no_pixel_has_counts_only_with_smooth(rng):
    labels, logits = draw_batch("multiclass", rng)
    labels[labels == 2] = 0
    t, p, v = regions(labels, logits, "multiclass")
    h, both = (p * t * v).sum(axis=(0, 1, 2)), ((p + t) * v).sum(axis=(0, 1, 2))
    without = losses.DiceLoss(smooth=0.0)(labels, logits)
    np.testing.assert_allclose(float(without), (1 - 2 * h / both)[:2].mean(), rtol=1e-5)
    smoothed = losses.DiceLoss(smooth=1.0)(labels, logits)
    np.testing.assert_allclose(float(smoothed), (1 - (2 * h + 1) / (both + 1)).mean(), rtol=1e-5)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_class_weights_weigh_the_classes(task, rng):
    batch = draw_batch(task, rng)
    alone = [
        float(losses.DiceLoss(class_weights=np.eye(3)[c], task=task)(*batch)) for c in range(3)
    ]
    found = losses.DiceLoss(class_weights=[1, 2, 5], task=task)(*batch)
    np.testing.assert_allclose(float(found), np.dot(alone, [1, 2, 5]) / 8, rtol=1e-5)


def jaccard_of(truth, wrong):
    """One minus the intersection over union, were the pixels `wrong` wrong."""
    union = (truth | wrong).sum()
    return 1 - (truth & ~wrong).sum() / union if union else 0.0


def lovasz(errors, truth):
    """The definition: the extension of `jaccard_of` at the errors, by sets of largest errors."""
    order, total, before = np.argsort(-errors, kind="stable"), 0.0, 0.0
    wrong = np.zeros(len(truth), dtype=bool)
    for i in order:
        wrong[i] = True
        now = jaccard_of(truth, wrong)
        total, before = total + errors[i] * (now - before), now
    return total


@with_tasks
@pytest.mark.parametrize("per_image", [False, True])
def test_lovasz_agrees_with_its_definition(task, per_image, rng):
    labels, logits = draw_batch(task, rng)
    truth, p, valid = regions(labels, logits, task)
    images = [slice(i, i + 1) for i in range(len(truth))] if per_image else [slice(None)]
    values = []
    for i in images:
        by_class = []
        for c in range(truth.shape[-1]):
            seen = valid[i][..., c] > 0
            t = truth[i][..., c][seen] > 0
            if task == "multiclass":
                errors = np.abs(t - p[i][..., c][seen])
            else:
                errors = np.maximum(0, 1 - logits[i][..., c][seen] * (2.0 * t - 1))
            by_class.append(lovasz(errors, t))
        values.append(np.mean(by_class))
    loss = losses.LovaszLoss(per_image=per_image, task=task)
    np.testing.assert_allclose(float(loss(labels, logits)), np.mean(values), rtol=1e-4)


def test_lovasz_of_labels_as_outputs_is_the_jaccard_loss(rng):
    """At corners of the cube the extension is the set function itself."""
    labels = rng.integers(0, 2, (1, 8, 9))
    other = rng.integers(0, 2, (1, 8, 9))
    loss = losses.LovaszLoss(from_logits=False, task="multiclass")
    found = float(loss(labels, np.eye(2, dtype="float32")[other]))
    want = np.mean([jaccard_of(labels == c, labels != other) for c in range(2)])
    np.testing.assert_allclose(found, want, rtol=1e-5)


def contour(region, valid):
    outside = (1 - region) * valid
    pooled = np.stack([ndimage.maximum_filter(x, 3, mode="constant") for x in outside])
    return (pooled - outside) * valid


@with_tasks
@pytest.mark.parametrize("distance", [1, 2])
def test_boundary_loss_agrees_with_the_equations(task, distance, rng):
    labels, logits = draw_batch(task, rng)
    truth, p, valid = (np.moveaxis(x, -1, 1) for x in regions(labels, logits, task))
    values = []
    for image in range(len(truth)):
        lines = [contour(x[image], valid[image]) for x in (truth, p)]
        wide = [
            np.stack([ndimage.maximum_filter(x, 2 * distance + 1, mode="constant") for x in line])
            for line in lines
        ]
        precision = (lines[1] * wide[0]).sum(axis=(1, 2)) / lines[1].sum(axis=(1, 2))
        recall = (wide[1] * lines[0]).sum(axis=(1, 2)) / lines[0].sum(axis=(1, 2))
        f1 = 2 * precision * recall / (precision + recall)
        values.append((1 - f1)[lines[0].sum(axis=(1, 2)) > 0].mean())
    loss = losses.BoundaryLoss(distance, task=task)
    np.testing.assert_allclose(float(loss(labels, logits)), np.mean(values), rtol=1e-4)


def test_void_and_the_border_of_the_image_are_no_contour():
    """A region up to void, and to the border, has no contour, and so does not count."""
    labels = np.array([[[1, 1, 1, 255, 0, 0]] * 4])
    assert float(losses.BoundaryLoss()(labels, np.zeros((1, 4, 6, 1), "float32"))) == 0
    labels[0, 0, 0] = 0
    assert float(losses.BoundaryLoss()(labels, np.zeros((1, 4, 6, 1), "float32"))) > 0


def test_pixels_of_weight_two_count_twice(rng):
    labels, logits = draw_batch("binary", rng, void=0)
    weights = np.ones(labels.shape, "float32")
    weights[:, :3] = 2
    found = losses.DiceLoss()(labels, logits, sample_weight=weights)
    doubled = [np.concatenate([x[:, :3], x], axis=1) for x in (labels, logits)]
    np.testing.assert_allclose(float(found), float(losses.DiceLoss()(*doubled)), rtol=1e-6)
