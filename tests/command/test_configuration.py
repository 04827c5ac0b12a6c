"""Configurations of runs: read, written, changed."""

import dataclasses
import json
import sys

import pytest

from keras_segattn.command import configuration as module
from keras_segattn.command.data_source import DataSource
from keras_segattn.command.sweep import combinations, read_sweep, run_name
from keras_segattn.recipes import RECIPES
from keras_segattn.training import TrainingOptions

pytestmark = pytest.mark.once
pytest.importorskip("jsonargparse", reason="needs the extra cli")

BASE = module.Configuration(
    data=DataSource(
        kind="folder", path="d", label_map={255: 1}, class_names=["a", "b"], palette=[[1, 2, 3]] * 2
    ),
    recipe=RECIPES["own_folder"],
    options=TrainingOptions(ema_momentum=0.9),
    run="runs/d",
)


@pytest.mark.parametrize("recipe", ["own_folder", "ccnet_cityscapes", "attanet_light_camvid"])
def test_a_file_holds_all_of_a_configuration(recipe, tmp_path):
    config = dataclasses.replace(BASE, recipe=RECIPES[recipe])
    module.write_configuration(tmp_path / "config.yaml", config)
    found = module.read_configuration(tmp_path / "config.yaml")

    # Tuples in a dict come back as lists.
    def plain(one):
        return json.dumps(dataclasses.asdict(one), sort_keys=True)

    assert plain(found) == plain(config)
    assert found.data.label_map == {255: 1}
    assert found.recipe.scale == config.recipe.scale


def test_settings_are_changed_by_name():
    texts = ["network_arguments.fusion=concat", "learning_rate=3e-4", "crop=[64, 96]", "steps=5"]
    texts += ["data.seed=3", "options.seed=4", "evaluation.flip=true"]
    found = module.change(BASE, module.read_settings(texts))
    recipe = found.recipe
    assert recipe.network_arguments == {**BASE.recipe.network_arguments, "fusion": "concat"}
    assert (recipe.learning_rate, recipe.crop, recipe.evaluation) == (
        3e-4,
        (64, 96),
        {"flip": True},
    )
    assert (recipe.steps, recipe.epochs) == (5, None)
    assert (found.data.seed, found.options.seed) == (3, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hue=3", "the recipe has no setting 'hue'.*learning_rate"),
        ("epochs=many", "recipe.epochs"),
        ("crop=[1]", "recipe.crop"),
        ("optimizer=lion", "`optimizer` must be one of"),
        ("epochs", "NAME=VALUE"),
        ("epochs.a=3", "not a dict with entries"),
        ("data.kind=zip", "`kind` must be one of"),
    ],
)
def test_wrong_settings_are_told(text, message):
    with pytest.raises(ValueError, match=message):
        module.change(BASE, module.read_settings([text]))


def test_an_unknown_key_in_a_file_is_told(tmp_path):
    path = tmp_path / "config.yaml"
    module.write_configuration(path, BASE)
    path.write_text(path.read_text().replace("batch_size:", "batchsize:"))
    with pytest.raises(ValueError, match=r"config.yaml is not the configuration.*batchsize"):
        module.read_configuration(path)


def test_without_the_extra_one_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonargparse", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-segattn\[cli\]'"):
        module.change(BASE, {"epochs": 3})


def test_a_sweep_is_a_run_for_each_combination():
    sweep = read_sweep(["network=CANet,AttaNet", "learning_rate=1e-3,3e-4"])
    runs = [run_name("runs/d", settings) for settings in combinations(sweep)]
    assert len(set(runs)) == 4
    assert runs[1] == "runs/d-network=CANet-learning_rate=0.0003"
    assert combinations({}) == [{}]
    with pytest.raises(ValueError, match="NAME=A,B"):
        read_sweep(["network"])
