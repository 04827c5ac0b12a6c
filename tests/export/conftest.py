import functools
from types import SimpleNamespace
from unittest import mock

import pytest

from keras_segattn.applications import CANet
from keras_segattn.export import export_model, graph_copies
from tests.applications.cases import tiny_backbone
from tests.export.cases import (
    NAMES,
    PALETTE,
    PATHS,
    ColorPatches,
    color_network,
    needs_runtime,
)
from tests.training import randomize


@pytest.fixture(scope="package", autouse=True)
def no_graph_copies():
    # They serve only a rewrite that fails, and take a tenth of the time.
    with mock.patch.object(graph_copies, "copy", SimpleNamespace(deepcopy=lambda graph: graph)):
        yield


@pytest.fixture
def model(rng):
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    randomize(model, rng)
    model.class_names, model.palette = NAMES, PALETTE
    return model


@pytest.fixture(scope="session")
def color_artifact(tmp_path_factory):
    """Returns a function from a format to an artifact of `color_network`, to be read only."""

    @functools.cache
    def write(format):
        needs_runtime(format)
        path = tmp_path_factory.mktemp(format) / PATHS[format]
        export_model(color_network(), path, format, images=ColorPatches())
        return path

    return write


@pytest.fixture
def images(rng):
    return [rng.integers(0, 256, (*size, 3), dtype="uint8") for size in ((45, 70), (64, 33))]
