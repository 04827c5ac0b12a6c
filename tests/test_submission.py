"""Splits without public labels: files for the evaluation server, and no scores."""

import numpy as np
import pytest
from PIL import Image

from keras_segattn.command import evaluate as command
from keras_segattn.data import Cityscapes, RoadScenes
from keras_segattn.data.cityscapes import LABEL_IDS
from keras_segattn.inference import segment
from keras_segattn.recipes import RECIPES
from keras_segattn.training import evaluate, evaluation, has_labels, write_submission
from tests.data.files import cityscapes
from tests.inference.cases import pixelwise

pytestmark = pytest.mark.once


@pytest.fixture
def hidden(tmp_path, rng):
    """A test split with masks that are void everywhere, as the release has it."""
    for name in ("berlin_000000_000019", "bonn_000001_000019"):
        cityscapes(tmp_path, "test", name, np.ones((32, 40)))
        image = rng.integers(0, 256, (32, 40, 3), dtype="uint8")
        city = name.split("_")[0]
        folder = tmp_path / "leftImg8bit" / "test" / city
        Image.fromarray(image).save(folder / f"{name}_leftImg8bit.png")
    return Cityscapes(tmp_path, "test")


def test_a_server_gets_its_own_labels(hidden, tmp_path):
    model = pixelwise(classes=19)
    paths = write_submission(model, hidden, tmp_path / "results", scales=(0.8, 1.2))
    assert [path.name for path in paths] == [
        "berlin_000000_000019_leftImg8bit.png",
        "bonn_000001_000019_leftImg8bit.png",
    ]
    for index, path in enumerate(paths):
        found = segment(model, hidden.read(index)[0], scales=(0.8, 1.2)).class_map
        with Image.open(path) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(np.asarray(image), np.array(LABEL_IDS)[found])
    assert set(np.unique(np.array(LABEL_IDS)[found])) == {7, 8, 11}
    with pytest.raises(ValueError, match="has 3 classes, but the server has 19"):
        write_submission(pixelwise(), hidden, tmp_path / "other")
    with pytest.raises(ValueError, match="no labels for an evaluation server"):
        write_submission(model, RoadScenes("val", 2), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_command_writes_for_the_server(hidden, tmp_path, monkeypatch, capsys):
    pytest.importorskip("jsonargparse", reason="needs the extra cli")
    monkeypatch.setattr(command, "load_model", lambda path: pixelwise(classes=19))
    monkeypatch.setattr(command, "evaluate", None)  # Nothing is scored.
    data = ["model.keras", str(tmp_path), "--part", "test"]
    command.main([*data, "--submission", str(tmp_path / "results")])
    assert "written: 2 files in" in capsys.readouterr().out
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_a_recipe_determines_how_the_command_measures(hidden, tmp_path, monkeypatch):
    pytest.importorskip("jsonargparse", reason="needs the extra cli")
    seen = {}

    def stop(model, data, folder, **options):
        seen.update(options)
        raise ValueError("enough")

    monkeypatch.setattr(command, "load_model", lambda path: pixelwise(classes=19))
    monkeypatch.setattr(command, "evaluate", stop)
    data = ["model.keras", str(tmp_path), "--part", "test", "--recipe", "ccnet_cityscapes"]
    with pytest.raises(SystemExit, match="enough"):
        command.main([*data, "--flip"])
    want = {**RECIPES["ccnet_cityscapes"].evaluation, "flip": True, "best": 8}
    assert seen == want


def test_parts_and_sums_keep_the_labels_of_the_server(hidden, tmp_path):
    model = pixelwise(classes=19)
    (path,) = write_submission(model, hidden[1:], tmp_path / "part")
    assert path.name == "bonn_000001_000019_leftImg8bit.png"
    assert len(write_submission(model, hidden[:1] + hidden[1:], tmp_path / "sum")) == 2
    # Labels for two servers fit neither.
    other = hidden[1:]
    other.submission_labels = range(19)
    with pytest.raises(ValueError, match="no labels for an evaluation server"):
        write_submission(model, hidden[:1] + other, tmp_path / "other")


def test_no_image_is_segmented_where_there_are_no_labels(hidden, monkeypatch):
    monkeypatch.setattr(evaluation, "segment", lambda *args, **kwargs: pytest.fail("segmented"))
    assert hidden.has_masks
    assert not has_labels(hidden)
    assert has_labels(RoadScenes("val", 1))
    with pytest.raises(ValueError, match="has no labels: all its pixels are void"):
        evaluate(pixelwise(classes=19), hidden)
