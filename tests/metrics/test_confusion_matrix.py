import keras
import numpy as np
import pytest

from keras_segattn.metrics import ConfusionMatrix, SegmentationScores, confusion_scores

CLASSES = 4
NAMES = ["road", "car", "tree", "sky"]


@pytest.fixture
def batches(rng):
    result = []
    for _ in range(3):
        labels = rng.integers(0, CLASSES, (2, 5, 6)).astype("uint8")
        labels[rng.random(labels.shape) < 0.3] = 255
        logits = rng.normal(size=(2, 5, 6, CLASSES)).astype("float32")
        result.append((labels, logits + 2 * np.eye(CLASSES, dtype="float32")[labels % CLASSES]))
    return result


def count(batches):
    matrix = np.zeros((CLASSES, CLASSES))
    for labels, logits in batches:
        for index in np.ndindex(labels.shape):
            if labels[index] != 255:
                matrix[labels[index], logits[index].argmax()] += 1
    return matrix


def updated(metric, batches):
    for labels, logits in batches:
        metric.update_state(labels, logits)
    return keras.ops.convert_to_numpy(metric.result())


def test_matrix_over_batches_with_void(batches):
    metric = ConfusionMatrix(CLASSES)
    np.testing.assert_array_equal(updated(metric, batches), count(batches))
    metric.reset_state()
    assert not np.any(keras.ops.convert_to_numpy(metric.result()))


def test_scores_for_the_logs_are_those_of_the_matrix(batches):
    want = confusion_scores(count(batches), NAMES)
    metric = SegmentationScores(CLASSES, class_names=NAMES)
    for labels, logits in batches:
        metric.update_state(labels, logits)
    got = {name: float(value) for name, value in metric.result().items()}
    assert got.pop("mean_iou") == pytest.approx(want["mean_iou"])
    assert got.pop("pixel_accuracy") == pytest.approx(want["pixel_accuracy"])
    assert got == pytest.approx({f"iou_{name}": value for name, value in want["iou"].items()})


def test_mean_iou_is_that_of_keras(batches):
    theirs = keras.metrics.MeanIoU(CLASSES, ignore_class=255, sparse_y_pred=False)
    result = confusion_scores(updated(ConfusionMatrix(CLASSES), batches))
    np.testing.assert_allclose(result["mean_iou"], updated(theirs, batches), rtol=1e-6)


def test_scores_for_the_logs_of_classes_that_do_not_occur():
    metric = SegmentationScores(3, class_names=["road", "car", "tree"])
    assert {float(metric.result()[name]) for name in ("mean_iou", "pixel_accuracy")} == {0}
    metric.matrix.assign([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    result = metric.result()
    assert float(result["mean_iou"]) == pytest.approx(0.775)
    assert float(result["iou_car"]) == pytest.approx(0.8)
    assert np.isnan(float(result["iou_tree"]))
    with pytest.raises(ValueError, match="1 class names do not fit 3 classes"):
        SegmentationScores(3, class_names=["road"])


def test_scores_of_classes_that_do_not_occur():
    result = confusion_scores([[3, 1, 0], [0, 4, 0], [0, 0, 0]], ["road", "car", "tree"])
    assert result["iou"] == {"road": 0.75, "car": 0.8, "tree": None}
    assert result["mean_iou"] == pytest.approx(0.775)
    assert result["pixel_accuracy"] == pytest.approx(7 / 8)
    assert confusion_scores(np.zeros((2, 2)))["mean_iou"] is None
    with pytest.raises(ValueError, match="1 class names do not fit a matrix of 2"):
        confusion_scores(np.zeros((2, 2)), ["road"])


def test_sample_weight(batches):
    labels, logits = batches[0]
    metric = ConfusionMatrix(CLASSES)
    metric.update_state(labels, logits, sample_weight=np.full(labels.shape, 0.5))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(metric.result()), 0.5 * count(batches[:1])
    )


@pytest.mark.parametrize(
    "metric", [ConfusionMatrix(CLASSES, 7), SegmentationScores(CLASSES, 7, NAMES)]
)
def test_config(metric):
    copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert copy.get_config() == metric.get_config()


def test_fit_and_evaluate_give_what_is_counted_by_hand(rng):
    images = rng.normal(size=(6, 8, 8, 3)).astype("float32")
    labels = rng.integers(0, CLASSES, (6, 8, 8)).astype("uint8")
    labels[:, 0] = 255
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(CLASSES, 1)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    metric = SegmentationScores(CLASSES, class_names=NAMES)
    model.compile(keras.optimizers.SGD(0.0), loss, metrics=[metric])
    history = model.fit(images, labels, batch_size=4, verbose=0).history
    want = confusion_scores(count([(labels, model.predict(images, verbose=0))]), NAMES)
    logs = model.evaluate(images, labels, batch_size=4, verbose=0, return_dict=True)
    for name in ("pixel_accuracy", "mean_iou"):
        assert history[name][0] == pytest.approx(want[name])
        assert logs[name] == pytest.approx(want[name])
    assert logs["iou_tree"] == pytest.approx(want["iou"]["tree"])
