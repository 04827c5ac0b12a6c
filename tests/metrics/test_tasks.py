"""Confusion matrices and scores of binary and multilabel networks."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import SegmentationModel
from keras_segattn.metrics import ConfusionMatrix, SegmentationScores, confusion_scores
from tests.losses.cases import draw_batch

ALL_SCORES = [
    "mean_iou",
    "pixel_accuracy",
    "iou",
    "f1",
    "precision",
    "recall",
    "mean_f1",
    "mean_precision",
    "mean_recall",
    "micro_iou",
    "micro_f1",
    "micro_precision",
    "micro_recall",
    "frequency_weighted_iou",
]


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype("float64")))


def two_by_two(truth, predicted):
    return [[np.sum((truth == i) & (predicted == j)) for j in range(2)] for i in range(2)]


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("threshold", [None, 0.2, 0.9])
def test_binary_counts_by_threshold(from_logits, threshold, rng):
    labels, logits = draw_batch("binary", rng)
    metric = ConfusionMatrix(2, task="binary", threshold=threshold, from_logits=from_logits)
    p = sigmoid(logits)
    metric.update_state(labels, logits if from_logits else p.astype("float32"))
    predicted = (p[..., 0] > (threshold or 0.5)).astype(int)
    assert metric.counts().tolist() == two_by_two(labels, predicted)


def test_multilabel_counts_each_class_by_its_threshold(rng):
    labels, logits = draw_batch("multilabel", rng)
    thresholds = [0.1, 0.5, 0.8]
    metric = ConfusionMatrix(3, task="multilabel", threshold=thresholds)
    metric.update_state(labels, logits)
    metric.update_state(labels, logits, sample_weight=np.array([2.0, 0.0]))
    predicted = (sigmoid(logits) > thresholds).astype(int)
    # Once whole, and the first image twice more.
    want = [
        np.array(two_by_two(labels[..., c], predicted[..., c]))
        + 2 * np.array(two_by_two(labels[:1, ..., c], predicted[:1, ..., c]))
        for c in range(3)
    ]
    np.testing.assert_array_equal(metric.counts(), want)


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_logs_and_scores_agree(task, rng):
    labels, logits = draw_batch(task, rng)
    classes = 2 if task == "binary" else 3
    names = list("abc")[:classes]
    metric = SegmentationScores(classes, class_names=names, task=task, scores=ALL_SCORES)
    metric.update_state(labels, logits)
    matrix = ConfusionMatrix(classes, task=task)
    matrix.update_state(labels, logits)
    scores = confusion_scores(matrix.counts(), names)
    found = {name: float(value) for name, value in metric.result().items()}
    for name in ALL_SCORES:
        if isinstance(scores[name], dict):
            for one, value in scores[name].items():
                assert found[f"{name}_{one}"] == pytest.approx(value, rel=1e-5)
        else:
            assert found[name] == pytest.approx(scores[name], rel=1e-5)
    copy = SegmentationScores.from_config(metric.get_config())
    assert copy.get_config() == metric.get_config()


def test_scores_of_a_stated_matrix():
    """Worked by hand: hits 6 and 2, true 8 and 2, predicted 6 and 4."""
    scores = confusion_scores([[6, 2, 0], [0, 2, 0], [0, 0, 0]], ["road", "car", "tree"])
    assert scores["f1"] == pytest.approx({"road": 12 / 14, "car": 4 / 6, "tree": None})
    assert scores["precision"] == {"road": 1.0, "car": 0.5, "tree": None}
    assert scores["recall"] == {"road": 0.75, "car": 1.0, "tree": None}
    assert scores["mean_iou"] == (0.75 + 0.5) / 2
    assert scores["micro_iou"] == 8 / 12
    assert scores["micro_f1"] == scores["micro_recall"] == scores["pixel_accuracy"] == 0.8
    assert scores["frequency_weighted_iou"] == (8 * 0.75 + 2 * 0.5) / 10
    several = confusion_scores([[[5, 1], [2, 2]], [[10, 0], [0, 0]]], ["a", "b"])
    assert several["iou"] == {"a": 0.4, "b": None}
    assert several["mean_iou"] == several["micro_iou"] == 0.4
    assert several["pixel_accuracy"] == 17 / 20


def test_a_class_that_is_never_predicted_lowers_the_mean_precision():
    scores = confusion_scores([[4, 0], [4, 0]])
    assert scores["precision"] == {"0": 0.5, "1": None}
    assert scores["mean_precision"] == 0.25


def test_refusals(rng):
    labels, logits = draw_batch("binary", rng)
    with pytest.raises(ValueError, match=r"pass task='binary' and num_classes=2. Received: 1"):
        ConfusionMatrix(1)
    with pytest.raises(ValueError, match=r"pass num_classes=2. Received: 1"):
        ConfusionMatrix(1, task="binary")
    with pytest.raises(ValueError, match=r"predicts the best class: omit `threshold`"):
        ConfusionMatrix(2, threshold=0.5)
    with pytest.raises(ValueError, match=r"between 0 and 1. Received: 1.5"):
        ConfusionMatrix(2, task="binary", threshold=1.5)
    with pytest.raises(ValueError, match=r"or a sequence of 3 of them. Received: \[0.5, 0.5\]"):
        ConfusionMatrix(3, task="multilabel", threshold=[0.5, 0.5])
    with pytest.raises(ValueError, match=r"must have 2 channels.* 1\)\. For .*task='binary'"):
        ConfusionMatrix(2).update_state(labels, logits)
    with pytest.raises(ValueError, match=r"The labels must be classes from 0 to 1.*Received 2"):
        ConfusionMatrix(2, task="binary").update_state(np.full_like(labels, 2), logits)
    with pytest.raises(ValueError, match=r"`scores` must be one of.*Received: 'dice'"):
        SegmentationScores(2, scores=["dice"])


def test_compile_refuses_metrics_of_another_task():
    image = keras.Input((4, 4, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(1, 1)(image))
    model.compile("sgd", metrics=[SegmentationScores(2, task="binary")])
    with pytest.raises(
        ValueError, match=r"is for task='binary'. Pass the same `task` to the metric"
    ):
        model.compile("sgd", metrics=[SegmentationScores(2)])
    with pytest.raises(ValueError, match=r"returns logits.*Pass it from_logits=True"):
        model.compile("sgd", metrics=[SegmentationScores(2, task="binary", from_logits=False)])
