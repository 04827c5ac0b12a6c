"""The training example as a user runs it: a process, killed and resumed."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_segattn.applications import CANet
from keras_segattn.callbacks import AtomicCheckpoint
from keras_segattn.data import CamVid
from keras_segattn.training import evaluate
from tests.applications.cases import tiny_backbone

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--scenes", "8", "--epochs", "3", "--batch-size", "4", "--crop", "32", "48"]
SMALL += ["--learning-rate", "1e-3", "--deterministic", "--formats"]
# The smallest network: most of each run is the time to trace it.
SMALL += ["--recipe", "attanet_light_camvid", "--warmup-steps", "0"]


def start(run, *arguments, **options):
    return start_script("examples/train_camvid.py", *SMALL, "--run", run, *arguments, **options)


def start_script(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def finish(process):
    output, _ = process.communicate(timeout=400)
    return process.returncode, output


def kill_while_it_saves(process, checkpoints, epoch):
    """Kills a run that is writing its checkpoints after an epoch, or just has."""
    deadline = time.time() + 300
    while process.poll() is None and time.time() < deadline:
        begun = [path for path in checkpoints.glob("*") if path.name.startswith(".")]
        if begun and AtomicCheckpoint.latest(checkpoints)[1] == epoch - 1:
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.tensorflow
def test_killed_and_resumed_run_ends_like_one_that_was_not(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, output = finish(start(whole))
    assert code == 0, output

    checkpoints = killed / "checkpoints"
    kill_while_it_saves(start(killed), checkpoints, epoch=1)
    # Whatever the first epoch left, nothing has the name of a checkpoint and is not one.
    _, done = AtomicCheckpoint.latest(checkpoints)
    kill_while_it_saves(start(killed, "--resume"), checkpoints, epoch=2)
    path, done = AtomicCheckpoint.latest(checkpoints)
    assert done in (1, 2)
    keras.saving.load_model(path)
    keras.saving.load_model(checkpoints / "best.keras")

    code, output = finish(start(killed, "--resume"))
    assert code == 0, output

    def log(run):
        with open(run / "log.csv", newline="") as file:
            return list(csv.DictReader(file))

    assert [row["epoch"] for row in log(killed)] == ["0", "1", "2"]
    assert log(killed) == log(whole)
    assert (killed / "metrics.json").read_text() == (whole / "metrics.json").read_text()
    assert {path.name for path in checkpoints.iterdir()} == {
        "best.json",
        "best.keras",
        "epoch-0003.keras",
    }
    steps = keras.saving.load_model(checkpoints / "epoch-0003.keras").optimizer.iterations
    assert int(steps) == 3 * 8 // 4
    metrics = json.loads((killed / "metrics.json").read_text())
    assert set(metrics["test"]["iou"]) >= {"Road", "Bicyclist"}
    assert 0 <= metrics["test"]["mean_iou"] <= 1
    for name in ("curves.png", "config.json", "model.keras", "predictions/test.png"):
        assert (killed / name).stat().st_size > 0
    assert keras.saving.load_model(killed / "model.keras").class_names[3] == "Road"


@pytest.mark.tensorflow
def test_a_trained_model_is_evaluated(tmp_path, rng):
    from PIL import Image

    for folder in ("train", "trainannot", "val", "valannot"):
        shape = (40, 48) if folder.endswith("annot") else (40, 48, 3)
        (tmp_path / folder).mkdir()
        for name in "ab":
            array = rng.integers(0, 12, shape, dtype="uint8")
            Image.fromarray(array).save(tmp_path / folder / f"{name}.png")
    model = CANet(classes=11, backbone=tiny_backbone(), filters=16, up_channels=8)
    model.save(tmp_path / "model.keras")
    command = ["examples/evaluate.py", tmp_path / "model.keras", tmp_path, "--part", "val"]
    options = ["--scales", "0.75", "1", "--flip", "--tile", "36", "40"]
    code, output = finish(start_script(*command, *options))
    assert code == 0, output
    folder = tmp_path / "evaluation" / f"{tmp_path.name}_val"
    written = json.loads((folder / "scores.json").read_text())
    want = evaluate(model, CamVid(tmp_path, "val"), scales=(0.75, 1), flip=True, tile=(36, 40))
    assert written["pixel_accuracy"] == pytest.approx(want["pixel_accuracy"], abs=1e-3)
    assert "SignSymbol" in output
    for name in ("predictions.png", "confusions.png", "worst.png", "images.csv"):
        assert (folder / name).stat().st_size > 0


@pytest.mark.tensorflow
def test_a_wrong_file_is_found_before_training(tmp_path):
    from PIL import Image

    for split in ("train", "val", "test"):
        for folder, array in ((split, np.zeros((32, 48, 3))), (f"{split}annot", np.eye(32, 48))):
            (tmp_path / folder).mkdir()
            Image.fromarray(array.astype("uint8")).save(tmp_path / folder / "frame.png")
    (tmp_path / "val" / "frame.png").write_bytes(b"no image")
    code, output = finish(start(tmp_path / "run", "--data", tmp_path, "--batch-size", "1"))
    assert code == 1
    assert "1 fault in the val data:" in output
    assert "frame.png cannot be read" in output
    assert not (tmp_path / "run").exists()
