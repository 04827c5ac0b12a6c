"""Scores of data sets of each task, image by image, and recipes for them."""

import csv
import dataclasses

import keras
import numpy as np
import pytest

from keras_segattn import losses, recipes
from keras_segattn.applications import SegmentationModel
from keras_segattn.data import SegmentationDataset
from keras_segattn.losses.region_loss import RegionLoss
from keras_segattn.training import adjust_logits, evaluate
from keras_segattn.training.build import build_loss, build_metric, build_model
from keras_segattn.weights import Preprocessing

RECIPE = dataclasses.replace(
    recipes.get("canet1_camvid"),
    network_arguments={"backbone": "light", "filters": 8, "up_channels": 4},
    class_weights="enet",
)
CANET = {"backbone": "mobilenet_v2", "filters": 8, "up_channels": 4}


class Bright(SegmentationDataset):
    """Images whose bright pixels, or channels, are the foreground; some labels are wrong."""

    wrong = (0, 40, 10, 0)

    def __init__(self, task):
        self.task = task
        self.class_names = ("red", "green", "blue") if task == "multilabel" else ("rest", "bright")
        self.palette = ((255, 0, 0), (0, 255, 0), (0, 0, 255))[: len(self.class_names)]

    def __len__(self):
        return len(self.wrong)

    def name(self, index):
        return f"image {index}"

    def read(self, index):
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (32, 32, 3), dtype="uint8")
        mask = (image > 127).astype("uint8")
        mask = mask if self.task == "multilabel" else mask[..., 0]
        flat = mask.reshape(32 * 32, -1)
        flat[: self.wrong[index]] = 1 - flat[: self.wrong[index]]
        mask[-4:] = 255
        if index == 3:
            mask[:] = 255
        return image, mask


def network(task):
    """A network that knows the pixels of `Bright`, but for its wrong labels."""
    image = keras.Input((None, None, 3))
    if task == "multiclass":
        outputs = keras.layers.Conv2D(2, 1, name="classifier")(image)
        kernel = np.zeros((1, 1, 3, 2))
        kernel[..., 0, :] = [-1, 1]
    else:
        channels = 1 if task == "binary" else 3
        outputs = keras.layers.Conv2D(channels, 1, name="classifier")(image)
        kernel = np.eye(3, channels)[None, None]
    model = SegmentationModel(
        image, outputs, task=task, preprocessing=Preprocessing([0.5] * 3, [1.0] * 3)
    )
    model.get_layer("classifier").set_weights([kernel, np.zeros(outputs.shape[-1])])
    return model


@pytest.mark.once
@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_images_by_score_worst_first(task, tmp_path):
    pytest.importorskip("matplotlib")
    data = Bright(task)
    scores = evaluate(network(task), data, folder=tmp_path / "scores", worst=2)
    with open(tmp_path / "scores" / "images.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["image 1", "image 2", "image 0", "image 3"]
    assert [row["index"] for row in rows] == ["1", "2", "0", "3"]
    seen = 28 * 32
    np.testing.assert_allclose(
        [float(row["pixel_accuracy"]) for row in rows[:3]], [1 - 40 / seen, 1 - 10 / seen, 1]
    )
    assert rows[3]["mean_iou"] == rows[3][f"iou_{data.class_names[0]}"] == ""
    assert (tmp_path / "scores" / "confusions.png").is_file()
    assert scores["pixel_accuracy"] == pytest.approx(1 - 50 / (3 * seen))
    image, mask = data.read(1)
    last = 2 if task == "multilabel" else 0
    truth = mask[..., 2] if task == "multilabel" else mask
    found, known = image[..., last] > 127, truth != 255
    hits = (found & (truth == 1) & known).sum()
    iou = hits / ((found & known) | (truth == 1)).sum()
    assert float(rows[0][f"iou_{data.class_names[-1]}"]) == pytest.approx(iou)
    from PIL import Image

    with Image.open(tmp_path / "scores" / "worst.png") as picture:
        assert picture.width > picture.height  # two rows of four


def test_a_model_and_data_of_other_tasks_are_refused():
    with pytest.raises(ValueError, match=r"has 3 classes, but the data set has 2"):
        evaluate(network("multilabel"), Bright("binary"))
    data = Bright("multilabel")
    data.class_names = ("red", "green")
    with pytest.raises(ValueError, match=r"is for task='binary', but the masks.*multilabel"):
        evaluate(network("binary"), data)


SUM = {"dice": 0.5, "weighted_cross_entropy": 1}


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_a_recipe_follows_the_task_of_the_data(task, rng):
    data = Bright(task)
    recipe = dataclasses.replace(
        RECIPE, network_arguments=CANET, loss=SUM, loss_arguments={"dice": {"smooth": 2.0}}
    )
    model = build_model(recipe, data)
    assert model.task == task
    assert model.class_names == data.class_names
    loss = build_loss(recipe, data)
    assert loss.weights == [0.5, 1.0]
    dice, entropy = loss.losses
    assert dice.smooth == 2.0
    assert (dice.class_weights is None) == (task == "binary")
    assert entropy.class_weights == pytest.approx(data.class_weights())
    model.compile("sgd", loss, metrics=[build_metric(model)])
    images = rng.normal(size=(2, 32, 32, 3)).astype("float32")
    masks = np.stack([data.read(index)[1] for index in range(2)])
    logs = model.evaluate(images, masks, verbose=0, return_dict=True)
    assert np.isfinite(logs["loss"])
    assert f"iou_{data.class_names[-1]}" in logs


def test_a_recipe_for_a_binary_network_on_masks_of_two_classes():
    data = Bright("multiclass")
    recipe = dataclasses.replace(RECIPE, network_arguments={**CANET, "task": "binary"})
    assert build_model(recipe, data).output_shape[-1] == 1
    data.class_names = ("a", "b", "c")
    with pytest.raises(ValueError, match=r"two classes, background and foreground.*'c'"):
        build_model(recipe, data)
    with pytest.raises(ValueError, match=r"is for task='binary', but the masks.*'multilabel'"):
        build_model(recipe, Bright("multilabel"))


@pytest.mark.once
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "lovasc"}, r"`loss` must be one of.*Received: 'lovasc'"),
        ({"loss": {}}, r"or a dict from such names to their weights in a sum. Received: \{\}"),
        ({"loss": {"dice": -1}}, r"`loss dice` must be at least 0"),
        ({"loss": {"dize": 1}}, r"`loss` must be one of.*Received: 'dize'"),
        ({"loss": SUM, "loss_arguments": {"smooth": 1}}, r"a dict for each of its losses"),
    ],
)
def test_recipes_refuse_unknown_losses(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPE, **changes)


@pytest.mark.parametrize("name", ["lovasz", "boundary", "tversky", "focal_tversky", "jaccard"])
def test_every_loss_has_a_name_in_recipes(name):
    recipe = dataclasses.replace(RECIPE, loss=name, loss_arguments=None, class_weights=None)
    loss = build_loss(recipe, Bright("multiclass"))
    assert isinstance(loss, RegionLoss)
    assert loss.name.startswith(name)


def test_logits_of_sigmoids_are_adjusted():
    """The least loss of weighted pixels is at a logit that is higher by the logarithm."""
    binary, several = network("binary"), network("multilabel")
    adjust_logits(binary, [1.0, np.e])
    np.testing.assert_allclose(binary.get_layer("classifier").bias, [-1.0], rtol=1e-6)
    adjust_logits(several, [1.0, np.e, np.e**2], strength=0.5)
    np.testing.assert_allclose(several.get_layer("classifier").bias, [0.0, -0.5, -1.0], rtol=1e-6)
    with pytest.raises(ValueError, match=r"for each of the 2 classes"):
        adjust_logits(binary, [2.0])
    # A constant logit, trained on pixels of which a quarter is foreground.
    labels = np.array([[[1, 0, 0, 0]]])
    x = np.linspace(-3, 3, 601, dtype="float32")
    loss = losses.BinaryCrossEntropy(positive_weight=4.0)
    values = [float(loss(labels, np.full((1, 1, 4, 1), value))) for value in x[::5]]
    best = x[::5][int(np.argmin(values))]
    np.testing.assert_allclose(best - np.log(4.0), np.log(0.25 / 0.75), atol=0.05)
