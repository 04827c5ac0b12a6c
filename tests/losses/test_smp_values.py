"""The losses of segmentation_models.pytorch 0.6.0, as computed for the example below.

They were computed once with its own code on torch 2.13, in the mode that the name says and with
`ignore_index=255`, where it is not "whole".
"""

import numpy as np
import pytest

from keras_segattn import losses

CLASSES = 3
K = np.arange(60)
LOGITS = (3 * np.sin(1.7 * np.arange(60 * CLASSES))).reshape(2, 6, 5, CLASSES).astype("float32")
WHOLE = (K * K // 7 % CLASSES).reshape(2, 6, 5)
VOID = (K % 9 == 4).reshape(2, 6, 5)


def example(kind):
    """Labels and logits: a class per pixel, class 1 as the foreground, or each class by itself."""
    mode, _, whole = kind.partition(", ")
    void = np.zeros_like(VOID) if whole else VOID
    if mode == "multiclass":
        return np.where(void, 255, WHOLE), LOGITS
    if mode == "binary":
        return np.where(void, 255, WHOLE == 1), LOGITS[..., :1]
    labels = [np.where(void, 255, label == WHOLE) for label in range(CLASSES)]
    return np.stack(labels, axis=-1), LOGITS


@pytest.mark.parametrize(
    ("kind", "loss", "value"),
    [
        ("multiclass", losses.DiceLoss(smooth=0), 0.831112),
        # `smooth=1` there: it halves the sums, and so doubles the number.
        ("multiclass", losses.DiceLoss(smooth=2), 0.783503),
        ("multiclass, whole", losses.JaccardLoss(smooth=0), 0.906971),
        ("multiclass", losses.TverskyLoss(0.3, 0.7, smooth=0), 0.835083),
        ("multiclass", losses.LovaszLoss(), 0.892113),
        ("multiclass", losses.LovaszLoss(per_image=True), 0.892275),
        ("binary", losses.DiceLoss(smooth=0), 0.750730),
        ("binary, whole", losses.JaccardLoss(smooth=0), 0.874718),
        ("binary", losses.TverskyLoss(0.3, 0.7, smooth=0), 0.696739),
        ("binary", losses.FocalLoss(gamma=2.0), 0.883273),
        ("binary", losses.LovaszLoss(), 2.996085),
        ("multilabel", losses.DiceLoss(smooth=0, task="multilabel"), 0.699284),
        # Its `mode="multiclass"`: a sigmoid for each class.
        ("multilabel", losses.FocalLoss(gamma=2.0, task="multilabel"), 1.029473),
        # It divides by the number of all pixels, also void ones.
        ("binary", losses.BinaryCrossEntropy(positive_weight=2.0), 1.268712 * 60 / 53),
    ],
)
def test_values(kind, loss, value):
    np.testing.assert_allclose(float(loss(*example(kind))), value, rtol=3e-6)


def test_focal_tversky():
    """`TverskyLoss(gamma=4/3)` there takes the power of the mean; the paper's, `1 / gamma`."""
    whole = losses.TverskyLoss(0.3, 0.7, smooth=0)
    assert float(whole(*example("multiclass"))) ** (4 / 3) == pytest.approx(0.786393, rel=1e-5)
    ours = losses.FocalTverskyLoss(0.3, 0.7, gamma=3 / 4, smooth=0)
    assert float(ours(*example("binary"))) == pytest.approx(0.696739 ** (4 / 3), rel=1e-5)
