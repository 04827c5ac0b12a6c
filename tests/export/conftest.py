import pytest

from keras_segattn.applications import CANet
from tests.applications.cases import tiny_backbone
from tests.export.cases import NAMES, PALETTE
from tests.training import randomize


@pytest.fixture
def model(rng):
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    randomize(model, rng)
    model.class_names, model.palette = NAMES, PALETTE
    return model


@pytest.fixture
def images(rng):
    return [rng.integers(0, 256, (*size, 3), dtype="uint8") for size in ((45, 70), (64, 33))]
