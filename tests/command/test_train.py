"""`keras-segattn train` and the commands that use its runs, with a network of one convolution."""

import csv
import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from keras_segattn.command import train as command
from keras_segattn.command.compare import comparison
from keras_segattn.command.main import main
from tests.command.cases import QUICK, use_tiny_network
from tests.command.files import road, write

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore:No mask of"),
    pytest.mark.filterwarnings("ignore:Recipe"),
]
pytest.importorskip("jsonargparse", reason="needs the extra cli")
pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def tiny_network(tmp_path, monkeypatch):
    use_tiny_network(monkeypatch)
    monkeypatch.chdir(tmp_path)


def test_from_a_folder_to_a_report_and_masks(tmp_path, capsys):
    write(tmp_path / "photos", "{}.png", "{}_mask.png", road)
    main(["train", "photos", *QUICK])
    run = tmp_path / "runs" / "photos"
    told = capsys.readouterr().out
    assert "255 is the foreground" in told
    assert "train 8, val 2, test 2" in told
    assert "epoch 1 of 2" in told
    for name in ("config.yaml", "curves.png", "model.keras", "checkpoints/best.keras"):
        assert (run / name).stat().st_size > 0
    assert {path.name for path in (run / "pictures").iterdir()} == {
        "epoch-0001.png",
        "epoch-0002.png",
    }
    parts = (run / "parts.tsv").read_text().splitlines()
    assert len(parts) == 13
    page = (run / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == 5
    assert "IoU of foreground" in page
    assert "keras-segattn predict runs/photos" in page
    assert "http" not in page.replace("http-equiv", "")

    with pytest.raises(SystemExit):
        main(["train", "photos", *QUICK])
    assert "Resume with --resume" in capsys.readouterr().err
    log = (run / "log.csv").read_text()
    main(["train", "photos", *QUICK, "--resume"])
    main(["train", "runs/photos/config.yaml", "--resume"])
    assert (run / "log.csv").read_text() == log

    main(["predict", "runs/photos", "photos", "--overlay"])
    masks = sorted((run / "predicted" / "photos").glob("*.png"))
    assert len(masks) == 24  # the masks in the folder are images, too
    assert set(np.unique(np.asarray(Image.open(masks[0])))) <= {0, 1}

    main(["evaluate", "runs/photos"])
    found = json.loads((run / "evaluation" / "test" / "scores.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert found["mean_iou"] == metrics["test"]["mean_iou"]
    write(tmp_path / "others", change=road, count=3)
    main(["evaluate", "runs/photos", "others"])
    with open(run / "evaluation" / "others" / "images.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3


def test_a_sweep_is_compared(tmp_path, capsys):
    write(tmp_path / "mine", change=road)
    main(["train", "mine", *QUICK, "--sweep", "learning_rate=1e-2,1e-9"])
    runs = sorted((tmp_path / "runs").iterdir())
    assert [run.name for run in runs] == ["mine-learning_rate=0.01", "mine-learning_rate=1e-09"]
    rows = comparison(runs)
    assert {row["learning_rate"] for row in rows} == {0.01, 1e-9}
    assert set(rows[0]) == {"run", "mean_iou", "mean_f1", "pixel_accuracy", "learning_rate"}
    assert rows[0]["mean_iou"] >= rows[1]["mean_iou"]
    table = capsys.readouterr().out.splitlines()[-3:]
    assert table[0].split() == list(rows[0])
    # Scores are shown in percent, settings as they are.
    assert [line.split()[-1] for line in table[1:]] == [str(r["learning_rate"]) for r in rows]
    assert table[1].split()[1] == f"{100 * rows[0]['mean_iou']:.1f}"
    # Other images are no setting: the run's name tells of another fold.
    write(tmp_path / "others", change=road, count=10)
    main(["train", "others", *QUICK, "--learning-rate", "1e-2"])
    rows = comparison([runs[0], tmp_path / "runs" / "others"])
    assert set(rows[0]) == {"run", "mean_iou", "mean_f1", "pixel_accuracy"}
    main(["compare", *map(str, runs), "--csv", "table.csv"])
    assert (tmp_path / "table.csv").read_text().startswith("run,mean_iou")


def test_a_changed_configuration_is_another_run(tmp_path):
    arguments = command.parse_arguments(["generated", *QUICK])
    config = command.configure(arguments)
    assert config.run == "runs/generated"
    from keras_segattn.command.configuration import write_configuration

    write_configuration(tmp_path / "config.yaml", config)
    arguments = command.parse_arguments(["config.yaml", "--network", "AttaNet", "--epochs", "50"])
    changed = command.configure(arguments)
    assert changed.recipe.network == "AttaNet"
    assert changed.run == "runs/generated-network=AttaNet-epochs=50"
    assert command.configure(command.parse_arguments(["config.yaml"])) == config
    named = command.parse_arguments(["config.yaml", "--epochs", "50", "--run", "x"])
    assert command.configure(named).run == "x"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_run_that_can_go_on(name, tmp_path, monkeypatch, capsys):
    number = getattr(signal, name)
    python = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    before = signal.signal(number, python)
    write(tmp_path / "mine", change=road)

    class Kill(command.TimeLeft):
        def on_train_batch_end(self, batch, logs=None):
            if self.compiled:
                os.kill(os.getpid(), number)

    monkeypatch.setattr(command, "TimeLeft", Kill)
    try:
        with pytest.raises(SystemExit) as end:
            main(["train", "mine", *QUICK])
    finally:
        signal.signal(number, before)
    assert end.value.code == 128 + number
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"stopped by {name}: runs/mine contains 1 finished epoch.")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    config = command.configure(command.parse_arguments(["mine", *QUICK, "--resume"]))
    assert config == command.read_configuration("runs/mine/config.yaml")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--epochs 20 --batch-size 4", "batches of 4 with crops of 32x32, 20 epochs of 2 steps"),
        ("--set epochs=20", "20 epochs of"),
        ("--steps 8 --set batch_size=2 --crop 16 24", "2 with crops of 16x24, 2 epochs of 4 steps"),
        ("--backbone resnet18", "the backbone is resnet18, with random weights"),
        ("--set network_arguments.backbone=light", "the backbone is light, with random weights"),
        ("--backbone-weights mine.npz", "with weights from mine.npz"),
        ("--backbone-weights none --network AttaNet", "AttaNet, {'backbone': 'mobilenet_v2'"),
    ],
)
def test_a_dry_run_says_what_will_be_used(flags, told, tmp_path, capsys):
    write(tmp_path / "mine", change=road)
    main(["train", "mine", "--dry-run", "--backbone-weights", "none", *flags.split()])
    out = capsys.readouterr().out
    assert told in out and "mine: guesses, not saved" in out
    assert not (tmp_path / "runs").exists()


def test_masks_are_evaluated_as_they_were_trained(tmp_path, capsys):
    def gray(mask):
        return np.where(mask == 3, 255, np.where(mask == 2, 128, 0))

    write(tmp_path / "mine", change=gray)
    void = ["--set", "data.label_map={0: 0, 128: 255, 255: 1}"]
    main(["train", "mine", *QUICK, *void])
    assert "1 is the foreground; 255 is void" in capsys.readouterr().out
    # One without any foreground, and one with void.
    write(tmp_path / "others", change=lambda m: np.where(m == 2, 128, 0), count=2)
    main(["evaluate", "runs/mine", "others"])
    scores = json.loads((tmp_path / "runs/mine/evaluation/others/scores.json").read_text())
    assert scores["pixel_accuracy"] is not None
    assert "masks are read as in the training" in capsys.readouterr().out


def test_what_does_not_fit_is_told(tmp_path, capsys):
    write(tmp_path / "mine", change=road, count=2)
    for arguments, message in (
        (["none"], "is not a folder"),
        (["mine"], "too few samples to split"),
        (["generated", "--backbone-weights", "none", "--set", "depth=3"], "no setting 'depth'"),
    ):
        with pytest.raises(SystemExit):
            main(["train", *arguments])
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="is neither a run nor a model file"):
        main(["evaluate", "none"])


@pytest.mark.parametrize(
    "option",
    ["--crop 0 0", "--folds 1", "--seed -1", "--epochs 0", "--batch-size 0", "--learning-rate nan"],
)
def test_numbers_are_checked_before_anything_is_read(option, capsys):
    with pytest.raises(SystemExit):
        command.parse_arguments(["no_such_folder", *option.split()])
    name = option.split()[0]
    assert f"argument {name}: must be a number from" in capsys.readouterr().err
