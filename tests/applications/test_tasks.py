"""The task of a network: outputs, losses, and saved files."""

import keras
import numpy as np
import pytest

from keras_segattn import losses
from keras_segattn.applications import CANet, SegmentationModel
from keras_segattn.inference import segment
from keras_segattn.metrics import SegmentationScores
from tests.applications.cases import CASES, tiny_backbone
from tests.training import to_numpy

KERAS = keras.losses


def small(task, classes=None, **arguments):
    return CANet(
        backbone=tiny_backbone(),
        classes=classes,
        task=task,
        filters=8,
        up_channels=4,
        **arguments,
    )


@pytest.mark.parametrize("case", CASES)
def test_networks_have_the_outputs_of_their_task(case, tmp_path, rng):
    """Saved, cloned, with auxiliary heads, and without them again."""
    image = rng.normal(size=(1, 32, 32, 3)).astype("float32")
    for task, classes in (("binary", None), ("multilabel", 4)):
        model = CASES[case](task=task, classes=classes, auxiliary_heads=True)
        model.class_names = ["road"] if task == "binary" else list("abcd")
        model.compile("sgd", losses.DiceLoss() + losses.WeightedCrossEntropy())
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        alone = loaded.without_auxiliary_heads()
        assert loaded.loss.losses[0].task == task
        for one in (model, loaded, alone, keras.models.clone_model(alone)):
            assert one.task == task
            assert one.output_shape[-1] == (classes or 1)
            assert one.class_names == (
                ("background", "road") if task == "binary" else tuple("abcd")
            )
        np.testing.assert_allclose(to_numpy(loaded(image)), to_numpy(model(image)), atol=1e-5)


def test_classes_must_fit_the_task():
    with pytest.raises(ValueError, match=r"softmax of one class is always 1.*task='binary'"):
        CANet(classes=1)
    with pytest.raises(ValueError, match=r"one logit, the foreground's.*Received: classes=2"):
        CANet(classes=2, task="binary")
    with pytest.raises(ValueError, match=r"`task` must be one of .*Received: 'regression'"):
        CANet(task="regression")
    with pytest.raises(ValueError, match=r"must be 'sigmoid', or None for logits.*'softmax'"):
        CANet(task="binary", classifier_activation="softmax")
    with pytest.raises(ValueError, match=r"must be 'softmax', or None.*task=binary or multilabel"):
        CANet(classes=3, classifier_activation="sigmoid")
    with pytest.raises(ValueError, match=r"are for task='multiclass'.*`new_classifier=True`"):
        CANet(weights="camvid", task="multilabel")


def test_bundled_weights_are_fine_tuned_for_a_binary_task():
    model = CANet(weights="camvid", task="binary", new_classifier=True)
    assert model.output_shape[-1] == 1
    assert model.class_names is None


def test_names_and_colors_of_a_binary_model():
    model = small("binary")
    model.class_names, model.palette = ["leaf"], ["#00ff00"]
    assert model.class_names == ("background", "leaf")
    assert model.palette == ((0, 0, 0), (0, 255, 0))
    model.class_names = ["soil", "leaf"]
    assert model.class_names == ("soil", "leaf")
    with pytest.raises(ValueError, match=r"each of the 2 classes. Received 3"):
        model.class_names = list("abc")
    with pytest.raises(ValueError, match=r"one logit, the foreground's"):
        small("multiclass", 3).task = "binary"


@pytest.mark.parametrize(
    ("task", "loss", "message"),
    [
        ("binary", losses.FocalLoss(), None),
        ("binary", "binary_crossentropy", r"loss expects probabilities"),
        ("binary", KERAS.BinaryCrossentropy(from_logits=True), None),
        (
            "binary",
            KERAS.SparseCategoricalCrossentropy(from_logits=True),
            r"BinaryCrossEntropy\(\)",
        ),
        ("multilabel", KERAS.CategoricalFocalCrossentropy(from_logits=True), r"for a softmax over"),
        ("multiclass", KERAS.BinaryCrossentropy(from_logits=True), r"WeightedCrossEntropy\(\)"),
        ("multiclass", losses.BinaryCrossEntropy(), r"is for task='binary' or 'multilabel'"),
        ("multiclass", losses.DiceLoss(task="binary"), r"is for task='multiclass', and the loss"),
        ("binary", losses.DiceLoss(class_weights=[1, 2]), r"one region, the foreground"),
        ("multilabel", losses.DiceLoss(class_weights=[1, 2]), r"one weight for each of 3 classes"),
        (
            "binary",
            losses.DiceLoss() + KERAS.SparseCategoricalCrossentropy(from_logits=True),
            r"for a softmax over",
        ),
        ("binary", losses.DiceLoss(from_logits=False), r"expects probabilities"),
    ],
)
def test_compile_refuses_what_does_not_fit_the_task(task, loss, message):
    image = keras.Input((4, 4, 3))
    channels = 1 if task == "binary" else 3
    model = SegmentationModel(image, keras.layers.Conv2D(channels, 1)(image), task=task)
    if message is None:
        model.compile("sgd", loss)
    else:
        with pytest.raises(ValueError, match=message):
            model.compile("sgd", loss)


@pytest.mark.parametrize("in_a_sum", [False, True])
def test_losses_of_keras_without_void_refuse_it(in_a_sum):
    """They would take 255 for a label, and the loss falls without end."""
    image = keras.Input((4, 4, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(1, 1)(image), task="binary")
    loss = KERAS.BinaryCrossentropy(from_logits=True)
    model.compile("sgd", losses.DiceLoss() + loss if in_a_sum else loss)
    images, labels = np.ones((2, 4, 4, 3), "float32"), np.ones((2, 4, 4, 1), "float32")
    model.fit(images, labels, verbose=0)
    assert np.isfinite(model.train_on_batch(images, labels))
    labels[0, 0, 0] = 255
    for function in (model.fit, model.evaluate):
        with pytest.raises(
            ValueError, match=r"does not support void\. Received 255\.0 in 1 of 32 pixels"
        ):
            function(images, labels, verbose=0)
    # In tensors labels are checked where nothing can be raised.
    assert np.isnan(model.train_on_batch(images, keras.ops.convert_to_tensor(labels)))


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_training_learns(task, rng):
    """Bright pixels, or bright channels, are the foreground; void and 255 count for nothing."""
    images = rng.random((4, 32, 32, 3)).astype("float32")
    several = (images > 0.5).astype("uint8")
    labels = several[..., 0] if task == "binary" else several
    labels[:, :4] = 255
    image = keras.Input((32, 32, 3))
    channels = 1 if task == "binary" else 3
    model = SegmentationModel(image, keras.layers.Conv2D(channels, 1)(image), task=task)
    scores = SegmentationScores(2 if task == "binary" else 3, task=task)
    model.compile(keras.optimizers.Adam(0.3), losses.DiceLoss() + losses.BinaryCrossEntropy())
    model.fit(images, labels, batch_size=2, epochs=25, verbose=0)
    scores.update_state(labels, model.predict(images, verbose=0))
    assert float(scores.result()["mean_iou"]) > 0.9
    labels[0, 9, 9] = 3
    with pytest.raises(ValueError, match=r"from 0 to 1, or 255 for void. Received 3"):
        model.fit(images, labels, verbose=0)


def sure(task, channels, **arguments):
    """A network that returns the channels of the image, from -1 to 1, times 9."""
    image = keras.Input((None, None, channels))
    outputs = keras.layers.Conv2D(channels, 1, use_bias=False, name="classifier", **arguments)(
        image
    )
    model = SegmentationModel(image, outputs, task=task)
    model.get_layer("classifier").set_weights([9 * np.eye(channels)[None, None]])
    return model


@pytest.mark.parametrize("activation", [None, "sigmoid"])
@pytest.mark.parametrize("tile", [None, 32])
def test_segment_goes_by_threshold(activation, tile, rng):
    image = rng.random((40, 36, 3)).astype("float32")
    for task, picture in (("binary", image[..., :1]), ("multilabel", image)):
        model = sure(task, picture.shape[-1], activation=activation)
        result = segment(
            model,
            picture,
            preprocessing=lambda x: x / 127.5 - 1,
            tile=tile,
            keep_probabilities=True,
        )
        p = 1 / (1 + np.exp(-9 * (2 * picture - 1)))
        np.testing.assert_allclose(result.probabilities, p, atol=1e-3)
        want = (picture > 0.5).astype("uint8")
        want = want[..., 0] if task == "binary" else want
        assert result.class_map.dtype == "uint8"
        assert np.mean(result.class_map == want) > 0.999
        thresholds = [0.3] if task == "binary" else [0.3, 0.5, 0.9]
        found = segment(
            model, picture, preprocessing=lambda x: x / 127.5 - 1, tile=tile, threshold=thresholds
        ).class_map
        want = (p > thresholds).astype("uint8").reshape(found.shape)
        assert np.mean(found == want) > 0.999


def test_results_of_each_task(rng):
    picture = np.zeros((32, 32, 2), "float32")
    picture[:16, :, 0] = picture[8:, :, 1] = 1
    one, two = sure("binary", 1), sure("multilabel", 2)
    one.class_names, two.class_names = ["road"], ["road", "car"]
    one.palette, two.palette = ["#ff0000"], ["#ff0000", "#0000ff"]
    binary = segment(one, picture[..., :1], preprocessing=lambda x: x / 127.5 - 1)
    assert binary.shares() == {"background": 0.5, "road": 0.5}
    assert repr(binary) == "Segmentation(32x32, 2 classes, binary)"
    drawn = binary.overlay(alpha=1.0)
    assert drawn[0, 0].tolist() == [255, 0, 0]
    assert drawn[-1, 0].tolist() == [0, 0, 0]
    several = segment(two, picture, preprocessing=lambda x: x / 127.5 - 1)
    assert several.class_map.shape == (32, 32, 2)
    assert several.shares() == {"road": 0.5, "car": 0.75}
    drawn = several.overlay(alpha=1.0)
    assert drawn[0, 0].tolist() == [255, 0, 0]
    assert drawn[10, 0].tolist() == [127, 0, 127]
    assert drawn[-1, 0].tolist() == [0, 0, 255]
    with pytest.raises(ValueError, match=r"predicts the best class: omit `threshold`"):
        segment(sure("multiclass", 2), picture, threshold=0.5)


def test_a_plain_model_of_one_channel_is_binary():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(1, 1, bias_initializer="ones")(image))
    result = segment(model, np.zeros((32, 32, 3), "uint8"), preprocessing=lambda x: x)
    assert result.class_map.min() == 1


@pytest.mark.parametrize(
    ("name", "value", "ours"),
    [
        ("encoder_name", "resnet34", "`backbone`"),
        ("encoder_weights", "imagenet", "`backbone_weights`"),
        ("in_channels", 4, r"`input_shape=\(None, None, 4\)`"),
        ("num_classes", 3, "`classes`"),
        ("activation", "softmax", "`classifier_activation`"),
    ],
)
@pytest.mark.parametrize("case", CASES)
def test_arguments_of_other_libraries_are_named(case, name, value, ours):
    with pytest.raises(TypeError, match=rf"no argument `{name}`. Here it is {ours}. Received"):
        CASES[case](**{name: value})


def test_evaluation_at_scales_follows_the_task(rng):
    """`model.evaluation` averages sigmoids as `segment` does."""
    images = (255 * rng.random((2, 32, 32, 1))).astype("float32")
    model = sure("binary", 1)
    model.preprocessing = None
    labels = np.stack(
        [
            one.class_map
            for one in segment(
                model, list(images / 255), scales=(1.0, 2.0), flip=True, preprocessing=lambda x: x
            )
        ]
    )
    model.compile(loss=losses.BinaryCrossEntropy(), metrics=[SegmentationScores(2, task="binary")])
    model.evaluation = {"scales": [1.0, 2.0], "flip": True}
    scores = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert scores["mean_iou"] == 1


@pytest.mark.parametrize(
    "loss",
    [
        KERAS.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
        lambda y, x: KERAS.sparse_categorical_crossentropy(y, x, from_logits=True),
    ],
)
def test_labels_beyond_the_classes_under_a_loss_of_keras(loss):
    """On JAX they made a wrong loss without a word."""
    image = keras.Input((4, 4, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(5, 1)(image))
    if not isinstance(loss, KERAS.Loss):
        loss.__name__ = "sparse_categorical_crossentropy"
    model.compile("sgd", loss)
    images, labels = np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4), "uint8")
    model.fit(images, labels, verbose=0)
    labels[0, 0, 0] = 7
    for function in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"classes from 0 to 4.*Received 7"):
            function(images, labels, verbose=0)
