"""Losses for tests of their common properties, and batches of each task."""

import numpy as np
import pytest

from keras_segattn import losses

PIXEL_LOSSES = {
    "weighted_cross_entropy": losses.WeightedCrossEntropy,
    "focal": losses.FocalLoss,
    "ohem": losses.OHEMCrossEntropy,
}
REGION_LOSSES = {
    "dice": losses.DiceLoss,
    "jaccard": losses.JaccardLoss,
    "tversky": losses.TverskyLoss,
    "focal_tversky": losses.FocalTverskyLoss,
    "lovasz": losses.LovaszLoss,
    "boundary": losses.BoundaryLoss,
}
TASKS = ("multiclass", "binary", "multilabel")
ALL = {**PIXEL_LOSSES, **REGION_LOSSES, "binary_cross_entropy": losses.BinaryCrossEntropy}
# Pairs of a loss and a task that it serves.
SERVED = [
    (make, task)
    for name, make in ALL.items()
    for task in TASKS
    if (name, task) != ("binary_cross_entropy", "multiclass")
]
with_served = pytest.mark.parametrize(
    ("make", "task"), SERVED, ids=[f"{make.__name__}-{task}" for make, task in SERVED]
)


def draw_batch(task, rng, images=2, classes=3, void=0.25):
    """Returns labels with void, and logits."""
    channels = 1 if task == "binary" else classes
    logits = rng.normal(0, 2, (images, 6, 7, channels)).astype("float32")
    shape = logits.shape if task == "multilabel" else logits.shape[:3]
    labels = rng.integers(0, classes if task == "multiclass" else 2, shape).astype("uint8")
    labels[rng.random(shape) < void] = 255
    return labels, logits


def void_of(labels, task):
    """Returns where the outputs of the network are void."""
    return labels == 255 if task == "multilabel" else (labels == 255)[..., None]


def regions(labels, logits, task):
    """Returns truth, probabilities and validity in float64, of the shape of the logits."""
    x = logits.astype("float64")
    if task == "multiclass":
        p = np.exp(x - x.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        truth = labels[..., None] == np.arange(x.shape[-1])
    else:
        p = 1 / (1 + np.exp(-x))
        truth = (labels == 1) if task == "multilabel" else (labels == 1)[..., None]
    valid = np.broadcast_to(~void_of(labels, task), x.shape)
    return (truth & valid).astype("float64"), np.where(valid, p, 0), valid.astype("float64")
