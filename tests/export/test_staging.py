"""An export replaces only its own artifacts."""

import subprocess
import sys

import numpy as np
import pytest

from keras_segattn.export import export_model, read_metadata
from keras_segattn.export.staging import check_replaceable, replace, staging_folder
from tests.export.cases import ColorPatches, color_network

pytestmark = pytest.mark.tensorflow


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_of_other_files_is_not_replaced(tmp_path):
    path = tmp_path / "project"
    (path / "notes").mkdir(parents=True)
    (path / "notes" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="folder that `export_model` did not write"):
        export_model(color_network(), path, "saved_model")
    assert contents(tmp_path) == {"project/notes/thesis.txt": b"years of work"}


def test_an_artifact_is_replaced_unless_files_were_added(tmp_path):
    model, path = color_network(), tmp_path / "saved"
    path.mkdir()  # An empty folder may be replaced.
    for _ in range(2):
        export_model(model, path, "saved_model", images=ColorPatches())
    assert [entry.name for entry in tmp_path.iterdir()] == ["saved"]
    (path / "warmup").mkdir()
    (path / "warmup" / "saved_model.pb").write_text("mine")
    before = contents(path)
    with pytest.raises(ValueError, match="contains other files"):
        export_model(model, path, "saved_model", images=ColorPatches())
    assert contents(path) == before


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("..", "must end in its name"),
        ("link", "symbolic link to .*taken"),
        ("file", "is a file that `export_model` did not write"),
        ("taken", "is a folder that `export_model` did not write"),
    ],
)
def test_paths_that_are_refused(tmp_path, path, message):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "taken")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=message):
        check_replaceable(tmp_path / path, lambda path: False)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("is_folder", [True, False])
def test_files_of_another_kind_are_not_replaced(tmp_path, is_folder):
    path = tmp_path / "model.onnx"
    if is_folder:
        path.mkdir()
        path = path / "inside.txt"
    path.write_text("mine")
    with pytest.raises(ValueError, match="did not write"):
        export_model(color_network(), tmp_path / "model.onnx", "onnx")
    assert path.read_text() == "mine"


def test_two_exports_to_one_path(tmp_path):
    with staging_folder(tmp_path / "saved"):
        with (
            pytest.raises(RuntimeError, match=r"Another process is exporting to .*saved"),
            staging_folder(tmp_path / "saved"),
        ):
            pass
        with staging_folder(tmp_path / "other"):
            pass
    assert not list(tmp_path.iterdir())


KILLED = """
import os, sys
from pathlib import Path
from keras_segattn.export import staging
path = Path(sys.argv[1])
with staging.staging_folder(path) as folder:
    (folder / "artifact").mkdir()
    (folder / "artifact" / "new").write_text("new")
    if sys.argv[2] == "between":
        move = os.replace
        os.replace = lambda *paths: (move(*paths), os._exit(9))
        staging.replace(folder / "artifact", path, folder)
    os._exit(9)
"""


@pytest.mark.parametrize("moment", ["before", "between"])
def test_a_killed_export_is_cleared_by_the_next(tmp_path, moment):
    path = tmp_path / "saved"
    path.mkdir()
    (path / "old").write_text("old")
    result = subprocess.run([sys.executable, "-c", KILLED, str(path), moment])
    assert result.returncode == 9
    assert path.exists() == (moment == "before")
    assert (tmp_path / ".saved.export").exists()
    with staging_folder(path) as folder:
        assert contents(path) == {"old": b"old"}
        assert [entry.name for entry in folder.iterdir()] == ["lock"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["saved"]


@pytest.mark.parametrize("kind", ["link", "link to a leftover", "folder", "file", "lock of others"])
def test_a_staging_folder_of_others_is_not_cleared(tmp_path, kind):
    mine, staging = tmp_path / "mine", tmp_path / ".saved.export"
    if kind == "file":
        staging.write_text("years of work")
    else:
        folder = mine if kind.startswith("link") else staging
        folder.mkdir()
        (folder / "thesis.txt").write_text("years of work")
        if kind.startswith("link"):
            staging.symlink_to(mine)
        if kind == "link to a leftover":
            (mine / "lock").touch()
        if kind == "lock of others":
            (staging / "lock").write_text("a combination")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"\.saved\.export, .* does not belong to an export"):
        export_model(color_network(), tmp_path / "saved", "saved_model")
    assert contents(tmp_path) == before


def test_a_failed_replacement_keeps_what_was_there(tmp_path):
    path = tmp_path / "saved"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(FileNotFoundError), staging_folder(path) as folder:
        replace(folder / "missing", path, folder)
    assert contents(tmp_path) == {"saved/old": b"old"}


@pytest.mark.parametrize("broken", ["model", "artifact"])
def test_logits_must_be_finite(tmp_path, monkeypatch, broken):
    model, path = color_network(), tmp_path / "m.onnx"
    if broken == "model":
        model.get_layer("classify").kernel.assign(np.full((1, 1, 8, 3), np.nan))
    else:
        from keras_segattn.export.formats import FORMATS

        target = FORMATS["onnx"]
        load = target.load
        monkeypatch.setattr(
            target,
            "load",
            lambda path: lambda batch: {**load(path)(batch), "logits": np.float32([np.inf])},
        )
    with pytest.raises(RuntimeError, match=f"of [0-9]+ logits of the {broken} are NaN or infinite"):
        export_model(model, path, "onnx", images=ColorPatches())
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    export_model(color_network(), path, "onnx", images=ColorPatches())
    assert read_metadata(path)["network"]
