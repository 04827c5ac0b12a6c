import sys

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
    metric.low.assign([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    result = metric.result()
    assert float(result["mean_iou"]) == pytest.approx(0.775)
    assert float(result["iou_car"]) == pytest.approx(0.8)
    assert np.isnan(float(result["iou_tree"]))
    with pytest.raises(ValueError, match="3 classes must have as many"):
        SegmentationScores(3, class_names=["road"])


def test_scores_of_classes_that_do_not_occur():
    result = confusion_scores([[3, 1, 0], [0, 4, 0], [0, 0, 0]], ["road", "car", "tree"])
    assert result["iou"] == {"road": 0.75, "car": 0.8, "tree": None}
    assert result["mean_iou"] == pytest.approx(0.775)
    assert result["pixel_accuracy"] == pytest.approx(7 / 8)
    assert confusion_scores(np.zeros((2, 2)))["mean_iou"] is None
    with pytest.raises(ValueError, match="matrix of 2 classes needs as many"):
        confusion_scores(np.zeros((2, 2)), ["road"])


@pytest.mark.parametrize("shape", [(2,), (2, 5, 6), (2, 5, 6, 1)])
def test_sample_weights_of_images_and_of_pixels(batches, shape):
    labels, logits = batches[0]
    weights = np.array([0.5, 3.0])
    metric = ConfusionMatrix(CLASSES)
    metric.update_state(
        labels, logits, np.broadcast_to(weights.reshape(2, *[1] * (len(shape) - 1)), shape)
    )
    one, other = (count([(labels[i : i + 1], logits[i : i + 1])]) for i in range(2))
    np.testing.assert_array_equal(metric.counts(), 0.5 * one + 3 * other)
    with pytest.raises(ValueError, match=r"one number per image.*Received: shape \(2, 5\)"):
        metric.update_state(labels, logits, np.ones((2, 5)))


def test_counts_beyond_the_gaps_of_float32():
    metric = ConfusionMatrix(2)
    # 8 * 2^24 pixels, where float32 steps by 8.
    metric.high.assign(np.full((2, 2), 2048.0))
    for _ in range(3):
        metric.update_state(np.array([[[0, 1, 1]]]), np.eye(2)[[[[0, 0, 1]]]])
    assert metric.counts().tolist() == [[2**27 + 3, 2**27], [2**27 + 3, 2**27 + 3]]
    assert metric.counts().dtype == "int64"


def test_one_image_of_more_pixels_than_float32_counts():
    labels = np.zeros((1, 4100, 4100), "uint8")
    labels[0, :30] = 1
    logits = np.zeros((1, 4100, 4100, 2), "float16")
    logits[..., 0] = 1
    metric = ConfusionMatrix(2)
    metric.update_state(labels, logits)
    assert metric.counts().tolist() == [[4070 * 4100, 0], [30 * 4100, 0]]


def test_words_and_chunks_carry_over(batches, monkeypatch):
    module = sys.modules["keras_segattn.metrics.pixel_counts"]
    monkeypatch.setattr(module, "WORD", 4)
    monkeypatch.setattr(module, "CHUNK", 7)
    metric = ConfusionMatrix(CLASSES)
    for labels, logits in batches:
        metric.update_state(labels, logits)
    np.testing.assert_array_equal(metric.counts(), count(batches))
    assert keras.ops.convert_to_numpy(metric.low).max() < 4


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_counts_do_not_follow_the_policy(batches, policy):
    keras.config.set_dtype_policy(policy)
    metric = SegmentationScores(CLASSES)
    metric.high.assign(np.full((CLASSES, CLASSES), 512.0))
    for labels, logits in batches:
        metric.update_state(labels, keras.ops.cast(logits, "float16"))
    want = 2**25 + count([(y, x.astype("float16")) for y, x in batches])
    np.testing.assert_array_equal(metric.counts(), want)


@pytest.mark.parametrize(
    ("labels", "logits", "message"),
    [
        ((1, 4, 6), (1, 4, 6, 3), r"must have 4 channels, one per class.*\(1, 4, 6, 3\)"),
        ((1, 6, 4), (1, 4, 6, 4), r"y_true.shape=\(1, 6, 4\), y_pred.shape=\(1, 4, 6, 4\)"),
        ((2, 4, 6), (1, 4, 6, 4), "one integer for each pixel"),
        ((1, 4, 6, 4), (1, 4, 6, 4), "They look one-hot: pass `y_true.argmax"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(labels, logits, message):
    with pytest.raises(ValueError, match=message):
        ConfusionMatrix(4).update_state(np.zeros(labels), np.zeros(logits))


@pytest.mark.parametrize("label", [-1, -100, CLASSES, 254, 2**40, 0.5, np.nan, np.inf])
def test_labels_that_are_neither_class_nor_void(batches, label):
    labels, logits = batches[0]
    labels = labels.astype("int64" if isinstance(label, int) else "float64")
    labels[0, 0, :2] = label
    metric = SegmentationScores(CLASSES, class_names=NAMES)
    with pytest.raises(ValueError, match=rf"from 0 to 3, or 255 for void. Received {label}.* in 2"):
        metric.update_state(labels, logits)
    metric.update_state(keras.ops.convert_to_tensor(labels, "float32"), logits)
    assert all(np.isnan(float(value)) for value in metric.result().values())
    with pytest.raises(ValueError, match="neither a class from 0 to 3 nor void"):
        metric.counts()
    metric.reset_state()
    metric.update_state(*batches[1])
    np.testing.assert_array_equal(metric.counts(), count(batches[1:2]))


def test_nan_logits_count_only_where_there_is_a_class(batches):
    labels, logits = batches[0]
    metric = ConfusionMatrix(CLASSES)
    metric.update_state(labels, np.where((labels == 255)[..., None], np.nan, logits))
    np.testing.assert_array_equal(metric.counts(), count(batches[:1]))
    metric.update_state(labels, np.where((labels == 1)[..., None], np.nan, logits))
    with pytest.raises(ValueError, match="logits of a pixel were NaN"):
        metric.counts()


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="`num_classes` must be at least 2"):
        ConfusionMatrix(1)


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
