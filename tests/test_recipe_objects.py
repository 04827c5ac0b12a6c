"""A user's own losses, optimizers, schedules and augmentations in recipes."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_segattn.applications import SegmentationModel
from keras_segattn.data import RoadScenes
from keras_segattn.losses import DiceLoss, SumOfLosses
from keras_segattn.recipes import RECIPES
from keras_segattn.training.build import build_augmentation, build_loss
from keras_segattn.training.optimization import add_weight_decay, build_optimizer, build_schedule

DATA = RoadScenes("train", 4, size=(32, 48))
BASE = dataclasses.replace(RECIPES["own_folder"], rate_factors=None, warmup_steps=10)
MODULE = """
import keras, numpy as np

@keras.saving.register_keras_serializable(package="mine")
class Halved(keras.losses.Loss):
    def __init__(self, factor=0.5, class_weights=None, name="halved", **kwargs):
        super().__init__(name=name, **kwargs)
        self.factor, self.class_weights = factor, class_weights

    def call(self, y_true, y_pred):
        return self.factor * keras.ops.mean(keras.ops.square(y_pred), axis=-1)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

class Rotate:
    def __init__(self, turns=1):
        self.turns = turns

    def __call__(self, image, mask, rng):
        return np.rot90(image, self.turns), np.rot90(mask, self.turns)

def bright(image, mask, rng):
    return np.full_like(image, 255), mask

number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module in the working directory."""
    name = f"module_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def replaced(**changes):
    recipe = dataclasses.replace(BASE, **changes)
    # A recipe is data: it survives JSON.
    values = json.loads(json.dumps(dataclasses.asdict(recipe)))
    again = type(recipe)(**values)
    assert json.dumps(dataclasses.asdict(again)) == json.dumps(dataclasses.asdict(recipe))
    return again


def model():
    image = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(11, 1)(image)
    return SegmentationModel(image, logits, class_names=DATA.class_names, from_logits=True)


def test_losses(module):
    logits = np.full((1, 2, 2, 11), 2, "float32")
    labels = np.zeros((1, 2, 2), "uint8")
    for loss, arguments, wanted in (
        (f"{module}.Halved", None, 2.0),
        ("mine>Halved", {"factor": 0.25}, 1.0),
        ({"mine>Halved": 3.0}, {"mine>Halved": {"factor": 1.0}}, 12.0),
    ):
        built = build_loss(replaced(loss=loss, loss_arguments=arguments), DATA)
        assert float(built(labels, logits)) == pytest.approx(wanted)
    weighted = build_loss(replaced(loss="mine>Halved", class_weights="enet"), DATA)
    assert len(weighted.class_weights) == 11
    given = build_loss(replaced(loss=0.25 * DiceLoss(smooth=0.5)), DATA)
    assert isinstance(given, SumOfLosses) and given.losses[0].smooth == 0.5
    assert isinstance(build_loss(replaced(loss=DiceLoss), DATA), DiceLoss)
    with pytest.raises(ValueError, match=r"does not reach the loss 'keras\.losses\.Dice'"):
        build_loss(replaced(loss="keras.losses.Dice", class_weights="enet"), DATA)


def test_a_model_trains_with_objects_of_others(module, tmp_path):
    recipe = replaced(
        loss=f"{module}.Halved",
        optimizer="keras.optimizers.Lion",
        schedule="cosine",
    )
    network = model()
    network.compile(build_optimizer(recipe, network, 5, use_ema=True), build_loss(recipe, DATA))
    add_weight_decay(network, recipe)
    assert network.optimizer.name == "lion" and network.optimizer.use_ema
    assert network.optimizer.weight_decay == BASE.weight_decay
    images = np.ones((2, 8, 8, 3), "float32")
    before = np.array(network.get_weights()[0])
    network.fit(images, np.zeros((2, 8, 8), "uint8"), verbose=0)
    assert not np.allclose(before, network.get_weights()[0])
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.name == "lion"


def test_an_optimizer_object_keeps_its_own_settings():
    given = keras.optimizers.Nadam(3e-5, beta_1=0.8)
    optimizer = build_optimizer(replaced(optimizer=given), model(), 5, use_ema=True)
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(3e-5)
    assert (optimizer.name, optimizer.beta_1, optimizer.use_ema) == ("nadam", 0.8, True)
    recipe = replaced(
        optimizer="keras.optimizers.RMSprop", optimizer_arguments={"rho": 0.7}, momentum=0.3
    )
    optimizer = build_optimizer(recipe, model(), 5)
    assert (optimizer.rho, optimizer.momentum) == (0.7, 0.3)
    recipe = replaced(optimizer="adamw", optimizer_arguments={"beta_2": 0.95})
    assert build_optimizer(recipe, model(), 5).beta_2 == 0.95


def test_schedules():
    recipe = replaced(schedule="cosine", epochs=10, end_learning_rate=1e-4)
    schedule = build_schedule(recipe, 11)
    rates = [float(schedule(step)) for step in (0, 10, 60, 110)]
    assert rates == pytest.approx([1e-5, 1e-3, 5.5e-4, 1e-4], rel=1e-3)
    flat = build_schedule(replaced(schedule="cosine", epochs=10, warmup_steps=0), 11)
    assert [float(flat(step)) for step in (0, 55)] == pytest.approx([1e-3, 5e-4])
    recipe = replaced(
        schedule="keras.optimizers.schedules.ExponentialDecay",
        schedule_arguments={"decay_rate": 0.5},
        epochs=10,
    )
    schedule = build_schedule(recipe, 11)
    assert [float(schedule(step)) for step in (0, 110)] == pytest.approx([1e-3, 5e-4])
    own = keras.optimizers.schedules.PiecewiseConstantDecay([5], [1.0, 0.25])
    assert float(build_schedule(replaced(schedule=own), 11)(6)) == 0.25


def test_augmentations(module):
    image, mask = DATA.read(0)
    rng = np.random.default_rng

    def augmented(**changes):
        recipe = replaced(crop=(32, 48), scale=(1.0, 1.0), rare_class_crops=0.0, **changes)
        return build_augmentation(recipe, None)(image, mask, rng(0))[0]

    assert augmented(augmentation=f"{module}.bright").min() == 255
    turned = augmented(augmentation=f"{module}.Rotate", augmentation_arguments={"turns": 2})
    plain = augmented(color_jitter=0.0)
    assert (turned == np.rot90(plain, 2)).all() or (turned == plain[::-1]).all()


def test_albumentations(tmp_path, monkeypatch):
    pytest.importorskip("albumentations")
    (tmp_path / "flips_of_mine.py").write_text(
        "import albumentations as A\nupside_down = A.Compose([A.VerticalFlip(p=1)])\n"
    )
    monkeypatch.chdir(tmp_path)
    recipe = replaced(augmentation="flips_of_mine.upside_down", crop=(32, 48), scale=(1.0, 1.0))
    image, mask = DATA.read(0)
    found = build_augmentation(recipe, None)(image, mask, np.random.default_rng(0))[1]
    wanted = mask[::-1]
    assert (found == wanted).all() or (found == wanted[:, ::-1]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "cross_entropy"}, "`loss` must be one of .*'my_module.Name'.*not registered"),
        ({"loss": "no_module.Loss"}, "No module named 'no_module'"),
        ({"loss": {"dice": 1, "mine>No": 1}}, "Received: 'mine>No'"),
        ({"optimizer": "lion"}, "`optimizer` must be one of .*Received: 'lion'"),
        ({"schedule": "cyclic"}, r"`schedule` must be one of \('poly', 'cosine'\)"),
        ({"schedule": "cosine", "decay_by": "epoch"}, "needs schedule='poly'"),
        ({"augmentation": lambda image, mask, rng: None}, "has no attribute|<lambda>"),
        ({"augmentation": object()}, "cannot be written to a file"),
        ({"augmentation_arguments": {"a": 1}}, "requires the name of a class"),
        ({"loss": DiceLoss(), "loss_arguments": {"smooth": 1}}, "`loss` is an object"),
        (
            {"optimizer": "keras.optimizers.Lion", "rate_factors": {"a": 0.1}},
            "`rate_factors` needs one of the optimizers",
        ),
    ],
)
def test_what_is_not_found_is_told(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(BASE, **changes)


def test_what_cannot_be_made_is_told(module):
    with pytest.raises(ValueError, match=r"`loss='.*Halved'` cannot be created: .*'width'"):
        build_loss(replaced(loss=f"{module}.Halved", loss_arguments={"width": 3}), DATA)
    with pytest.raises(ValueError, match="is not a Keras optimizer but"):
        build_optimizer(replaced(optimizer="keras.losses.Dice"), model(), 5)
    with pytest.raises(ValueError, match="is not a Keras schedule but"):
        build_schedule(replaced(schedule=f"{module}.number"), 5)
