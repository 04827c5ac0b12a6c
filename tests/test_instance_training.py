"""Training runs and scores of instance segmentation, on a file in COCO format."""

import csv
import dataclasses
import json
import re
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_segattn import recipes
from keras_segattn.applications import MaskRCNN
from keras_segattn.command.instances import open_coco
from keras_segattn.command.main import main
from keras_segattn.data import COCOInstances, DrawnShapes
from keras_segattn.images.coco_masks import encode_mask
from keras_segattn.inference import segment_instances
from keras_segattn.training import (
    TrainingOptions,
    evaluate_instances,
    instance_run,
    train_instances,
)
from keras_segattn.training.average_precision import average_precision
from keras_segattn.training.instance_run import build_sgd
from tests.applications.cases import tiny_backbone
from tests.training import to_numpy

RECIPE = dataclasses.replace(
    recipes.get("mask_rcnn_resnet50_coco"),
    steps=4,
    batch_size=2,
    warmup_steps=1,
    short_side=32,
    long_side=64,
    backbone_weights=None,
)
TINY = ["--steps", "2", "--batch-size", "2", "--warmup-steps", "1"]
TINY += ["--set", "short_side=32", "--set", "long_side=64"]
OPTIONS = TrainingOptions()
EXAMPLE = Path(__file__).parents[1] / "examples" / "train_coco.py"
pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two files in COCO format, written from generated shapes."""
    folder = tmp_path_factory.mktemp("coco")
    (folder / "annotations").mkdir()
    splits = {}
    for split in ("train", "val"):
        shapes = DrawnShapes(split, 4, size=(40, 40))
        content = shapes.to_coco()
        for index, entry in enumerate(content["images"]):
            entry["file_name"] += ".png"
            path = folder / f"{split}2017" / entry["file_name"]
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(shapes.read(index)[0]).save(path)
        # As in COCO's own files, numbers of categories have gaps.
        for entry in content["categories"]:
            entry["id"] *= 10
        for annotation in content["annotations"]:
            annotation["category_id"] *= 10
        annotations = folder / "annotations" / f"instances_{split}2017.json"
        annotations.write_text(json.dumps(content))
        splits[split] = COCOInstances(annotations, folder / f"{split}2017")
    return splits


@pytest.fixture
def tiny_network(monkeypatch):
    def build(recipe, data, backbone_weights=None):
        sizes = {"filters": 4, "units": 4, "proposals": 8, "training_proposals": 8}
        model = MaskRCNN(
            backbone=tiny_backbone(), classes=3, sampled_boxes=8, detections=4, **sizes
        )
        model.class_names = data.class_names
        return model

    monkeypatch.setattr(instance_run, "build_instance_model", build)
    # Compiling takes longer than these few steps.
    eager = property(lambda self: True, lambda self, value: None)
    monkeypatch.setattr(keras.Model, "run_eagerly", eager)


class StoppedError(Exception):
    """Raised instead of a kill."""


class StopAfterFirst(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise StoppedError


def rows(folder):
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_that_was_stopped_goes_on_as_if_it_was_not(data, tiny_network, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "get", lambda name: RECIPE)
    folder, run = data["val"].files(0)[0].parents[1], tmp_path / "whole"
    example = runpy.run_path(str(EXAMPLE))
    example["main"](["--data", str(folder), "--run", str(run), "--steps", "4"])
    assert len(list((run / "predictions").glob("val_*.png"))) == 4
    log = rows(run)
    whole = keras.saving.load_model(run / "model.keras")
    assert {"loss", "mask", "learning_rate", "val_box_ap", "val_mask_ap"} <= set(log[0])
    best = max(float(row["val_mask_ap"]) for row in log)
    scores = evaluate_instances(whole, data["val"], **RECIPE.image_size)
    assert scores["mask"]["ap"] == pytest.approx(best, abs=1e-6)
    assert json.loads((run / "metrics.json").read_text()) == scores
    with pytest.raises(StoppedError):
        train_instances(RECIPE, data, tmp_path / "parts", OPTIONS, callbacks=[StopAfterFirst()])
    train_instances(RECIPE, data, tmp_path / "parts", OPTIONS)
    for row, other in zip(log, rows(tmp_path / "parts"), strict=True):
        for key, value in row.items():
            assert float(other[key]) == pytest.approx(float(value), rel=1e-4, abs=1e-6), key
    changed = dataclasses.replace(RECIPE, learning_rate=0.5)
    with pytest.raises(ValueError, match=r"learning_rate was 0\.02, is 0\.5"):
        train_instances(changed, data, tmp_path / "parts", OPTIONS)


def perfect(truth):
    return [
        {key: entry[key] for key in ("image_id", "category_id", "bbox", "segmentation")}
        | {"score": 0.9}
        for entry in truth["annotations"]
    ]


def test_the_command(data, tiny_network, tmp_path, capsys):
    folder, run, found = data["val"].files(0)[0].parents[1], tmp_path / "run", tmp_path / "found"
    flags = ["--recipe", "mask_rcnn_resnet50_coco", "--run", str(run), "--backbone-weights", "none"]
    main(["train", str(folder), *flags, *TINY])
    assert "3 classes; train 4, val 4" in capsys.readouterr().out
    main(["evaluate", str(run), str(folder)])
    assert "box AP" in capsys.readouterr().out
    scores = json.loads((run / "evaluation" / f"{folder.name}_val" / "scores.json").read_text())
    assert (scores["short_side"], scores["long_side"]) == (32, 64)
    metrics = json.loads((run / "metrics.json").read_text())
    assert {kind: scores[kind] for kind in metrics} == metrics

    photos = folder / "val2017"
    main(["predict", str(run), str(photos), str(found), "--overlay"])
    assert len(list(found.glob("*.png.overlay.jpg"))) == 4
    content = json.loads((found / "annotations.coco.json").read_text())
    model = keras.saving.load_model(run / "model.keras")
    assert [one["name"] for one in content["categories"]] == list(model.class_names)
    for entry in content["images"]:
        want = segment_instances(model, photos / entry["file_name"], short_side=32, long_side=64)
        got = [one for one in content["annotations"] if one["image_id"] == entry["id"]]
        np.testing.assert_allclose([one["score"] for one in got], want.scores, rtol=1e-5)
    COCOInstances(found / "annotations.coco.json", photos)
    for arguments, message in (
        (
            ["train", str(folder), *flags, "--network", "CANet"],
            "does not support --network: omit it",
        ),
        (["train", str(photos), *flags], "needs data in COCO format.*There is none"),
        (
            ["train", str(folder), *flags, "--set", "sides=3"],
            "no setting 'sides'. Known settings: name",
        ),
        (["evaluate", str(run)], "also pass data in COCO format"),
        (
            ["evaluate", str(run), str(folder), "--flip"],
            "finds objects and does not support --flip",
        ),
        (["predict", str(run), str(photos), str(found)], "already exists"),
        (["predict", str(run), str(photos), "elsewhere", "--tile", "64"], "not support --tile"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert re.search(message, f"{stopped.value} {capsys.readouterr().err}"), arguments


def test_parts_of_a_folder_in_cocos_format(data, tmp_path):
    """Layouts of Roboflow and others; a single file is not split."""
    for split in ("train", "val"):
        source = data[split].files(0)[0].parent
        (tmp_path / split).symlink_to(source)
        annotations = source.parent / "annotations" / f"instances_{split}2017.json"
        (tmp_path / f"{split}.json").symlink_to(annotations)
    parts = open_coco(tmp_path)
    assert {part: len(dataset) for part, dataset in parts.items()} == {"train": 4, "val": 4}
    ((name, whole),) = open_coco(tmp_path / "val.json").items()
    assert (name, whole.image_ids) == (None, parts["val"].image_ids)


def test_scores_are_cocos(data):
    truth, names = data["val"].to_coco(), data["val"].class_names
    assert len(truth["annotations"]) > 4
    before = json.dumps(truth)
    present = {entry["category_id"] for entry in truth["annotations"]}
    exact = average_precision(truth, perfect(truth), names)
    assert json.dumps(truth) == before
    for kind in ("box", "mask"):
        assert exact[kind]["ap"] == exact[kind]["ap50"] == pytest.approx(1)
        assert set(exact[kind]["classes"]) == set(names)
    nothing = average_precision(truth, [], names)
    assert nothing["mask"]["ap"] == 0
    # Half of the mask: the overlap is 0.5, and the box is still right.
    entry = truth["annotations"][0]
    one = {**truth, "annotations": [entry]}
    mask = np.zeros((40, 40), bool)
    index = data["val"].image_ids.index(entry["image_id"])
    _, objects = data["val"].read(index)
    rows_, columns = np.nonzero(objects["masks"][0])
    most = int(len(rows_) * 0.7)
    mask[rows_[:most], columns[:most]] = True
    found = [{**perfect(one)[0], "segmentation": encode_mask(mask)}]
    scores = average_precision(one, found, names)
    # Above 0.5, 0.55, 0.6 and 0.65 of ten thresholds.
    assert scores["box"]["ap"] == pytest.approx(1) and scores["mask"]["ap"] == pytest.approx(0.4)
    absent = [
        name for number, name in zip((10, 20, 30), names, strict=True) if number not in present
    ]
    assert [name for name, value in exact["mask"]["classes"].items() if value is None] == absent
    single = data["val"].category_ids.index(entry["category_id"])
    assert scores["mask"]["classes"][names[single]] == pytest.approx(0.4)
    assert list(scores["mask"]["classes"].values()).count(None) == 2


def test_what_is_found_in_a_crowd_is_no_mistake(data):
    truth, names = data["val"].to_coco(), data["val"].class_names
    results = perfect(truth)
    kind = truth["annotations"][0]["category_id"]
    same = [entry for entry in truth["annotations"] if entry["category_id"] == kind]
    assert len(same) > 1
    for entry, found in zip(truth["annotations"], results, strict=True):
        if entry is same[0]:
            found["score"] = 0.99
    wrong = {**truth, "annotations": [e for e in truth["annotations"] if e is not same[0]]}
    assert average_precision(wrong, results, names)["mask"]["ap"] < 0.99
    same[0]["iscrowd"] = 1
    assert average_precision(truth, results, names)["mask"]["ap"] == pytest.approx(1)


def test_options_that_one_device_does_not_have_are_refused(data, tmp_path):
    options = TrainingOptions(ema_momentum=0.9)
    with pytest.raises(
        ValueError, match=r"not support `ema_momentum`.*Received: ema_momentum=0\.9"
    ):
        train_instances(RECIPE, data, tmp_path, options)
    with pytest.raises(ValueError, match="4 samples, too few for a batch of 16"):
        train_instances(recipes.get("mask_rcnn_resnet50_coco"), data, tmp_path)
    model = MaskRCNN(backbone=tiny_backbone(), classes=2, filters=4, units=4, proposals=8)
    with pytest.raises(ValueError, match="has 2 classes, but the data set has 3"):
        evaluate_instances(model, data["val"])


def test_the_six_rows_of_the_paper_are_maskrcnn_benchmarks():
    assert list(recipes.INSTANCE_RECIPES) == [
        f"mask_rcnn_{backbone}{attention}_coco"
        for backbone in ("resnet50", "resnet101")
        for attention in ("", "_non_local", "_criss_cross")
    ]
    fields = {field.name for field in dataclasses.fields(recipes.InstanceRecipe)}
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="head")])
    for recipe in recipes.INSTANCE_RECIPES.values():
        assert set(recipe.our_choices) <= fields and json.dumps(dataclasses.asdict(recipe))
        assert recipe.backbone_weights == "imagenet" and recipe.steps == 90_000
        optimizer = build_sgd(recipe, 7330)
        schedule = optimizer._learning_rate
        assert schedule.boundaries == [60_000, 80_000] and schedule.warmup_steps == 500
        rates = [float(schedule(step)) for step in (0, 500, 59_999, 60_000, 80_000)]
        np.testing.assert_allclose(rates, [0.02 / 3, 0.02, 0.02, 0.002, 0.0002], rtol=1e-5)
        assert (optimizer.l2, optimizer.momentum) == (1e-4, 0.9)
    # The bias learns twice as fast and does not decay.
    kernel, bias = model.trainable_weights
    kernel.assign([[1.0]])
    optimizer.build(model.trainable_weights)
    optimizer.apply([keras.ops.ones((1, 1)), keras.ops.ones((1,))], model.trainable_weights)
    moved = [1 - to_numpy(kernel).item(), -to_numpy(bias).item()]
    np.testing.assert_allclose(moved, [0.02 / 3 * (1 + 1e-4), 0.04 / 3], rtol=1e-3)


def test_recipes_refuse_impossible_values():
    for change, message in (
        ({"steps": None}, "`epochs` or `steps`.*epochs=None, steps=None"),
        ({"decay_at": (0.5, 1.5)}, r"`decay_at` must be fractions.*\(0\.5, 1\.5\)"),
        ({"learning_rate": 0}, "`learning_rate` must be positive. Received: 0"),
        ({"short_side": 0}, "`short_side` must be at least 1. Received: 0"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(recipes.get("mask_rcnn_resnet50_coco"), **change)
