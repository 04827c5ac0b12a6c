"""The guides of the command, run from an empty folder: every line that begins with it."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from keras_segattn.command.main import main
from tests.command.cases import QUICK, use_tiny_network
from tests.command.files import SCENES, road, save, write

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore:No mask of"),
    pytest.mark.filterwarnings("ignore:Recipe"),
]
pytest.importorskip("jsonargparse", reason="needs the extra cli")
pytest.importorskip("matplotlib")
GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"


@pytest.fixture(autouse=True)
def from_an_empty_folder(tmp_path, monkeypatch):
    use_tiny_network(monkeypatch)
    monkeypatch.chdir(tmp_path)


def walk(guide):
    """Runs the commands of a page; a training is short, whatever its length on the page."""
    blocks = re.findall(r"```bash\n(.*?)```", (GUIDES / guide).read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    commands = [
        shlex.split(line, comments=True)[1:] for line in lines if line.startswith("keras-segattn ")
    ]
    for command in commands:
        main([*command, *(QUICK if command[0] == "train" else ())])
    return commands


def test_photos_with_png_masks(tmp_path, capsys):
    pytest.importorskip("tf2onnx")
    write(tmp_path / "my_data", "images/{}.jpg", change=road)
    write(tmp_path / "other_data", change=road, count=3)
    for index in range(2):
        save(SCENES.read(index)[0], tmp_path / "photos" / f"{index}.jpg")
    page = (GUIDES / "train_your_data.md").read_text()
    module = re.search(r"```python\n(# my_losses.py.*?)```", page, re.DOTALL)[1]
    (tmp_path / "my_losses.py").write_text(module)
    commands = walk("train_your_data.md")
    assert [command[0] for command in commands] == [
        *["train"] * 4,
        "compare",
        *["train"] * 2,
        "predict",
        *["evaluate"] * 2,
        "export",
    ]
    run = tmp_path / "runs" / "my_data"
    for name in ("report.html", "config.yaml", "parts.tsv", "evaluation/test/images.csv"):
        assert (run / name).stat().st_size > 0
    assert (run / "predicted" / "photos" / "0.jpg.overlay.jpg").exists()
    assert (run / "export" / "model.onnx").exists()
    for name, wanted in (("own", "my_losses.Distance"), ("lion", "keras.optimizers.Lion")):
        assert wanted in (run.with_name(name) / "config.yaml").read_text()
        assert (run.with_name(name) / "model.keras").exists()
    # A changed configuration is a run of its own.
    assert (run.with_name("my_data-color_jitter=0.2-loss=dice") / "model.keras").exists()
    assert "runs/attanet" in capsys.readouterr().out


def test_medical_masks_with_dice_and_five_folds(tmp_path, capsys):
    for index in range(10):
        image, mask = SCENES.read(index)
        name = f"patient{index // 2}_slice{index % 2}.png"
        save(image[..., 0], tmp_path / "scans" / "images" / name)
        save(road(mask), tmp_path / "scans" / "masks" / name)
    for index in range(2):
        scan = SCENES.read(index)[0][..., 0]
        save(scan, tmp_path / "new_scans" / f"patient9_slice{index}.png")
    walk("medical_folds.md")
    told = capsys.readouterr().out
    assert "images have 1 band" in told
    assert re.search(r"over 5 runs: mean iou [\d.]+ \(deviation [\d.]+\), mean f1", told)
    seen = []
    for fold in range(1, 6):
        run = tmp_path / "runs" / f"scans-fold={fold}_5"
        rows = [row.split("\t") for row in (run / "parts.tsv").read_text().splitlines()[1:]]
        parts = {part: {name for p, name in rows if p == part} for part in ("train", "val")}
        # Both slices of one patient.
        assert len(parts["val"]) == 2
        assert len({name.split("_")[0] for name in parts["val"]}) == 1
        seen += parts["val"]
        assert "lesion" in json.loads((run / "metrics.json").read_text())["val"]["iou"]
    assert len(set(seen)) == 10
    assert np.isfinite(json.loads((run / "metrics.json").read_text())["val"]["mean_f1"])
