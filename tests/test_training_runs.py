"""Training runs on a tiny network: the contents of a folder, and errors before training."""

import csv
import dataclasses
import json
import os
import resource
import shutil
import signal
import sys
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from keras_segattn.applications import AttaNet, SegmentationModel
from keras_segattn.callbacks import AtomicCheckpoint
from keras_segattn.command import flags, job
from keras_segattn.data import RoadScenes, SegmentationFolder
from keras_segattn.recipes import RECIPES
from keras_segattn.training import (
    RunFolder,
    TrainingOptions,
    data_fingerprint,
    evaluate,
    train,
)
from keras_segattn.training import run as run_module
from keras_segattn.training.build import build_model
from keras_segattn.training.checks import check_batch_norm

RECIPE = dataclasses.replace(
    RECIPES["canet1_camvid"], epochs=2, batch_size=2, class_weights=None, learning_rate=0.01
)
DATA = {split: RoadScenes(split, 4, size=(32, 32)) for split in ("train", "val")}

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:No mask of")]


@pytest.fixture(autouse=True, scope="module")
def tiny_network():
    def build(recipe, data, backbone_weights=None):
        image = keras.Input((None, None, 3))
        logits = keras.layers.Conv2D(len(data.class_names), 1)(image)
        return SegmentationModel(
            image, logits, class_names=data.class_names, palette=data.palette, from_logits=True
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "build_model", build)
        yield


class StoppedError(Exception):
    """Raised instead of a kill."""


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            raise StoppedError


def go(folder, options=None, epochs=2, stop_after=None, data=DATA, **arguments):
    callbacks = [] if stop_after is None else [StopAfter(stop_after)]
    recipe = dataclasses.replace(RECIPE, epochs=epochs)
    options = TrainingOptions(jit_compile=False, **(options or {}))
    return train(recipe, data, folder, options, callbacks=callbacks, **arguments)


def stopped(folder, after=1, **arguments):
    """Returns the folder of a run that was stopped after some epochs."""
    with pytest.raises(StoppedError):
        go(folder, stop_after=after, **arguments)
    return RunFolder(folder)


@pytest.fixture(scope="module")
def one_epoch(tiny_network, tmp_path_factory):
    """The folder of a run that was stopped after the first of two epochs."""
    return stopped(tmp_path_factory.mktemp("one_epoch")).path


def rows(folder):
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def score(model):
    batches = DATA["val"].to_tf_dataset(1, preprocessing=model.preprocessing)
    metrics = model.evaluate(batches, verbose=0, return_dict=True)
    return metrics["mean_iou"]


@pytest.mark.parametrize("momentum", [None, 0.9], ids=["plain", "ema"])
def test_the_best_model_scores_what_the_log_says(tmp_path, momentum):
    options = {"ema_momentum": momentum}
    whole = go(tmp_path / "whole", options, epochs=3)
    best = max(float(row["val_mean_iou"]) for row in rows(tmp_path / "whole"))
    assert score(whole) == pytest.approx(best, abs=1e-6)
    file = keras.saving.load_model(tmp_path / "whole" / "checkpoints" / "best.keras")
    assert score(file) == pytest.approx(best, abs=1e-6)
    stopped(tmp_path / "parts", options=options, epochs=3)
    go(tmp_path / "parts", options, epochs=3)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")


def test_epochs_are_validated_as_the_recipe_evaluates(tmp_path):
    """Trained at 0.25 to 0.5, a network is validated at the recipe's size, and the best is kept."""
    scenes = {split: RoadScenes(split, 4, size=(96, 128)) for split in ("train", "val")}
    recipe = dataclasses.replace(
        RECIPE,
        scale=(0.25, 0.5),
        crop=(32, 48),
        epochs=3,
        learning_rate=0.1,
        evaluation={"size": (32, 48)},
    )
    model = train(recipe, scenes, tmp_path, TrainingOptions(jit_compile=False))
    best = max(float(row["val_mean_iou"]) for row in rows(tmp_path))
    found = evaluate(model, scenes["val"], **recipe.evaluation)["mean_iou"]
    assert found == pytest.approx(best, abs=5e-4)
    assert abs(evaluate(model, scenes["val"])["mean_iou"] - best) > 1e-3
    batches = scenes["val"].to_tf_dataset(1, preprocessing=model.preprocessing)
    scores = model.evaluate(batches, verbose=0, return_dict=True)
    assert scores["mean_iou"] == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("text", [None, "", "epoch,learning_rate,loss,val_mean_iou\n"])
def test_the_best_model_outlives_its_log(tmp_path, text, one_epoch):
    shutil.copytree(one_epoch, tmp_path, dirs_exist_ok=True)
    run = RunFolder(tmp_path)
    record = {**AtomicCheckpoint.read_best(run.checkpoints), "value": 2.0}
    (run.checkpoints / "best.json").write_text(json.dumps(record))
    before = run.best.read_bytes()
    run.log.unlink()
    if text is not None:
        run.log.write_text(text)
    go(tmp_path)
    assert run.best.read_bytes() == before
    assert [row["epoch"] for row in rows(tmp_path)] == ["1"]


def test_a_damaged_checkpoint_gives_the_best_epoch(tmp_path, capsys):
    run = stopped(tmp_path, 2, epochs=3)
    record = {**AtomicCheckpoint.read_best(run.checkpoints), "epoch": 1}
    (run.checkpoints / "best.json").write_text(json.dumps(record))
    last = run.checkpoints / "epoch-0002.keras"
    last.write_bytes(last.read_bytes()[:5000])
    go(tmp_path, epochs=3)
    assert "epoch-0002.keras is damaged: resuming from the best epoch, 1" in capsys.readouterr().out
    assert [row["epoch"] for row in rows(tmp_path)] == ["0", "1", "2"]
    names = {path.name for path in run.checkpoints.iterdir()}
    assert {"damaged-epoch-0002.keras", "epoch-0003.keras"} <= names


def damage(path, size=3000):
    path.write_bytes(path.read_bytes()[:size])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def truncate_weights(path):
    """Writes a whole archive with truncated weights."""
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    entries["model.weights.h5"] = entries["model.weights.h5"][:-1000]
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)


FAULTS = {
    "flipped byte of the best model": (
        lambda run: flip(run.best),
        r"best\.keras is damaged, .*best epoch, 1,.* Restore it, or move best\.keras and",
    ),
    "truncated weights of the best model": (
        lambda run: truncate_weights(run.best),
        r"best\.keras is damaged",
    ),
    "truncated weights of both": (
        lambda run: [truncate_weights(path) for path in run.checkpoints.glob("*.keras")],
        r"epoch-0001\.keras is damaged, and there is no other",
    ),
    "both damaged": (
        lambda run: [damage(path) for path in run.checkpoints.glob("*.keras")],
        r"epoch-0001\.keras is damaged, and there is no other",
    ),
    "no best model": (
        lambda run: run.best.unlink(),
        r"best\.keras is missing.*Restore best\.keras",
    ),
    "no best value": (
        lambda run: (run.checkpoints / "best.json").unlink(),
        r"best\.json is missing.*Restore best\.json",
    ),
    "best value": (
        lambda run: (run.checkpoints / "best.json").write_text("{"),
        r"best\.json is damaged",
    ),
    "stray checkpoint": (
        lambda run: (run.checkpoints / "epoch-9999.keras").write_bytes(run.best.read_bytes()),
        r"epoch-9999\.keras contains 9999 finished epochs; the training has 2",
    ),
    "no config": (lambda run: (run.path / "config.json").unlink(), r"config\.json is missing"),
    "empty config": (
        lambda run: (run.path / "config.json").write_text(""),
        r"config\.json is damaged",
    ),
    "other config": (
        lambda run: (run.path / "config.json").write_text('{"decisive": 3}'),
        r"config\.json is damaged",
    ),
    "config of bytes": (
        lambda run: (run.path / "config.json").write_bytes(b"\xff\xfe\x00"),
        r"config\.json is damaged",
    ),
    "log of bytes": (lambda run: run.log.write_bytes(b"\xff\xfe\x00"), r"log\.csv is damaged"),
    "other log": (
        lambda run: run.log.write_text("a,b\n1,2\n"),
        r"log\.csv is damaged or from another program: it has no column 'epoch'",
    ),
    "log of words": (
        lambda run: run.log.write_text("epoch,loss,val_mean_iou\none,2,3\n"),
        r"log\.csv is damaged or from another program: .*'one'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_damaged_folder_is_told_before_training(name, tmp_path, one_epoch):
    spoil, message = FAULTS[name]
    shutil.copytree(one_epoch, tmp_path, dirs_exist_ok=True)
    spoil(RunFolder(tmp_path))
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=message):
        go(tmp_path)
    assert contents(tmp_path) == before


def test_a_kill_between_the_best_model_and_its_record(tmp_path, one_epoch):
    shutil.copytree(one_epoch, tmp_path, dirs_exist_ok=True)
    run = RunFolder(tmp_path)
    for name in ("epoch-0001.keras", "best.json"):
        (run.checkpoints / name).unlink()
    before = run.best.read_bytes()
    go(tmp_path)
    assert (run.checkpoints / "earlier-best.keras").read_bytes() == before
    assert AtomicCheckpoint.latest(run.checkpoints)[1] == 2


def test_lost_checkpoints_are_told_before_training(tmp_path):
    run = stopped(tmp_path, 2, epochs=3)
    for path in run.checkpoints.iterdir():
        path.unlink()
    run.checkpoints.rmdir()
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"log\.csv has 2 epochs, but .* contains no checkpoint"):
        go(tmp_path, epochs=3)
    assert contents(tmp_path) == before


def test_one_process_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--resume"])
    with RunFolder(tmp_path).locked():
        message = f"in use by process {os.getpid()} on .* since 2.*: train.py --resume"
        with pytest.raises(RuntimeError, match=message):
            go(tmp_path)
        # A process that does not write shares the folder of the one that does.
        with RunFolder(tmp_path).locked(write=False):
            pass
    (tmp_path / ".lock").write_text("left by a process that was killed")
    go(tmp_path, epochs=1)
    assert not (tmp_path / ".lock").exists()


def commanded(monkeypatch, *arguments):
    """Returns the exit status of the command."""
    monkeypatch.setattr(job, "recipe_of", lambda arguments: RECIPE)
    parser = flags.argument_parser("", "canet1_camvid")
    arguments = parser.parse_args(["--jit", "off", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        job.main(arguments, lambda arguments: DATA)
    return end.value.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "Resume with --resume"), (["--resume", "--seed", "7"], "seed was 0, is 7")],
)
def test_the_command_refuses_to_mix_runs(arguments, message, one_epoch, monkeypatch, capsys):
    before = contents(one_epoch)
    assert commanded(monkeypatch, "--run", one_epoch, *arguments) == 1
    assert message in capsys.readouterr().err
    assert contents(one_epoch) == before


def test_a_full_disk_leaves_the_checkpoints_of_before(tmp_path, one_epoch, monkeypatch, capsys):
    shutil.copytree(one_epoch, tmp_path, dirs_exist_ok=True)
    checkpoints = tmp_path / "checkpoints"
    before = contents(checkpoints)
    assert max(map(len, before.values())) > 6000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, limits[1]))
    try:
        code = commanded(monkeypatch, "--run", tmp_path, "--resume")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 1
    assert "could not be written" in capsys.readouterr().err
    after = contents(checkpoints)
    assert {path: after[path] for path in after if path.name[0] != "."} == before


@pytest.fixture(params=["SIGINT", "SIGTERM", "SIGHUP"])
def heeded(request):
    """The name of a signal that is not ignored, as it is in a process started with `nohup`."""
    number = getattr(signal, request.param)
    python = {signal.SIGINT: signal.default_int_handler}  # raises KeyboardInterrupt
    before = signal.signal(number, python.get(number, signal.SIG_DFL))
    yield request.param
    signal.signal(number, before)


def test_a_signal_leaves_one_line_and_a_state_to_go_on_from(heeded, tmp_path, monkeypatch, capsys):
    number = getattr(signal, heeded)

    class Kill(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if (AtomicCheckpoint.latest(tmp_path / "checkpoints")[1], batch) == (1, 1):
                os.kill(os.getpid(), number)

    monkeypatch.setattr(job, "train", lambda *a, **k: train(*a, **k | {"callbacks": [Kill()]}))
    handler = signal.getsignal(number)
    assert commanded(monkeypatch, "--run", tmp_path) == 128 + number
    assert signal.getsignal(number) == handler
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == (
        f"stopped by {heeded}: {tmp_path} contains 1 finished epoch. Resume with the same "
        "command and --resume."
    )
    go(tmp_path)
    assert [row["epoch"] for row in rows(tmp_path)] == ["0", "1"]


def test_a_run_that_stopped_early_has_ended(tmp_path):
    options = {"early_stopping_patience": 1}
    run = stopped(tmp_path, options=options, epochs=9)
    record = {**AtomicCheckpoint.read_best(run.checkpoints), "value": 2.0}
    (run.checkpoints / "best.json").write_text(json.dumps(record))
    for _ in range(2):
        go(tmp_path, options, epochs=9)
        assert [row["epoch"] for row in rows(tmp_path)] == ["0", "1"]


class Unlabeled(RoadScenes):
    has_masks = False


@pytest.mark.parametrize(
    ("changes", "options", "data", "message"),
    [
        ({"batch_size": 8}, {}, {}, "train data have 4 samples, too few for a batch of 8"),
        ({"steps": 9, "epochs": None, "batch_size": 8}, {}, {}, "too few for a batch of 8"),
        ({"warmup_steps": 4}, {}, {}, "`warmup_steps=4` does not fit into a training of 4 steps"),
        ({}, {"gradient_accumulation_steps": 3}, {}, "=3` exceeds an epoch of 2 steps"),
        ({}, {"initial_model": "none.keras"}, {}, "`initial_model=none.keras` is not a file"),
        ({}, {}, {"val": Unlabeled("val", 4)}, "No image of the val data has a mask"),
    ],
)
def test_what_cannot_train_is_refused_before_data_are_read(
    changes, options, data, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(RoadScenes, "read", lambda self, index: pytest.fail("read"))
    recipe = dataclasses.replace(RECIPE, **changes)
    with pytest.raises(ValueError, match=message):
        train(recipe, {**DATA, **data}, tmp_path, TrainingOptions(**options))


def test_a_single_value_is_not_normalized():
    image = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(image)
    model = keras.Model(image, keras.layers.BatchNormalization()(pooled))
    check_batch_norm(model, 2)
    with pytest.raises(ValueError, match="`batch_size=1` per device cannot train"):
        check_batch_norm(model, 1)
    with pytest.raises(ValueError, match="cannot train 'attanet'"):
        check_batch_norm(AttaNet(backbone="light", classes=11), 1)
    maps = keras.Model(image, keras.layers.BatchNormalization()(image))
    check_batch_norm(maps, 1)


def test_scores_need_masks():
    model = run_module.build_model(RECIPE, DATA["train"])
    with pytest.raises(ValueError, match=r"No image of .* has a mask to compare with"):
        evaluate(model, Unlabeled("val", 2))


def test_other_data_are_refused(tmp_path):
    def opened(folder):
        names = {"class_names": ["a", "b"]}
        return {"train": SegmentationFolder(folder / "images", folder / "masks", **names)}

    def pictures(folder):
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        for name in "ab":
            Image.new("RGB", (40, 40)).save(folder / "images" / f"{name}.png")
            np.save(folder / "masks" / f"{name}.npy", np.zeros((40, 40), "uint8"))
        return opened(folder)

    run, options = RunFolder(tmp_path / "run"), TrainingOptions()
    run.open(RECIPE, options, pictures(tmp_path / "data"))
    run.checkpoints.mkdir()
    (run.checkpoints / "epoch-0001.keras").touch()
    run.open(RECIPE, options, pictures(tmp_path / "moved"))
    # An uncompressed mask has one size, whatever it holds.
    np.save(tmp_path / "moved" / "masks" / "b.npy", np.eye(40, dtype="uint8"))
    with pytest.raises(ValueError, match=r"train hash of contents of files was .*, is") as error:
        run.open(RECIPE, options, opened(tmp_path / "moved"))
    assert "sizes" not in str(error.value)
    # A run of an earlier version knows nothing of the contents.
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    for key in [key for key in config["decisive"] if "of contents" in key]:
        del config["decisive"][key]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    run.open(RECIPE, options, opened(tmp_path / "moved"))
    (tmp_path / "data" / "images" / "b.png").write_bytes(b"longer" * 99)
    with pytest.raises(ValueError, match=r"train hash of names and sizes of files was .*, is"):
        run.open(RECIPE, options, opened(tmp_path / "data"))


def test_of_large_files_the_beginning_the_middle_and_the_end_are_hashed(tmp_path):
    size, found = data_fingerprint.WHOLE_FILE + 1, set()
    for place in (None, 0, size // 2, size - 1):
        content = bytearray(size)
        if place is not None:
            content[place] = 1
        (tmp_path / "scan.npy").write_bytes(content)
        found.add(data_fingerprint.content_hash(tmp_path / "scan.npy"))
    assert len(found) == 4


def test_weights_that_cannot_be_had_are_told_with_the_way_out(monkeypatch, tmp_path):
    def build(recipe, data, backbone_weights=None):
        if backbone_weights == "imagenet":
            raise ConnectionError("no network")
        return backbone_weights

    monkeypatch.setattr(run_module, "build_model", build)
    # Before any sample is read, which may take minutes.
    monkeypatch.setattr(run_module, "verify_data", lambda data: pytest.fail("data were read first"))
    with pytest.raises(
        RuntimeError, match=r"imagenet weights.*no network\n.*_weights=None`"
    ) as told:
        go(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert "with --backbone-weights none." in flags.in_flags(str(told.value))
    for options, weights in (
        ({"backbone_weights": None}, None),
        ({"backbone_weights": "file.npz"}, "file.npz"),
    ):
        assert run_module._build(RECIPE, DATA["train"], TrainingOptions(**options)) == weights


def test_what_a_network_starts_from_is_said(tmp_path, capsys):
    def told(backbone, **options):
        arguments = {"backbone": backbone}
        recipe = dataclasses.replace(RECIPE, network_arguments=arguments, backbone_weights=None)
        model = run_module._build(recipe, DATA["train"], TrainingOptions(**options))
        return model, capsys.readouterr().out.strip()

    start = "the backbone starts from"
    model, said = told("resnet18")
    assert said == f"{start} random weights, although there are ImageNet weights for it"
    assert told("resnet18", backbone_weights=None)[1] == f"{start} random weights"
    assert told("stdc1")[1] == f"{start} random weights"
    assert told("keras_hub/resnet_18_imagenet")[1] == f"{start} the weights of its preset"
    model.save(tmp_path / "first.keras")
    second, said = told("resnet18", initial_model=str(tmp_path / "first.keras"))
    assert said == f"the network starts from {tmp_path / 'first.keras'}"
    for one, other in zip(model.weights, second.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))


def test_a_network_that_cannot_be_built_is_not_blamed_on_its_weights(monkeypatch, capsys):
    wrong = dataclasses.replace(
        RECIPE,
        network="CANet",
        network_arguments={"backbone": "mobilnet_v2"},
        backbone_weights="imagenet",
    )
    monkeypatch.setattr(run_module, "build_model", build_model)
    with pytest.raises(ValueError, match="Unknown backbone 'mobilnet_v2'"):
        run_module._build(wrong, DATA["train"], TrainingOptions())
    assert "the backbone starts from imagenet" in capsys.readouterr().out
