"""Files are written completely or not at all."""

import json
import os
import subprocess
import sys
import unittest.mock
from pathlib import Path

import pytest

from keras_segattn.atomic_files import atomic_path, make_folder, sync, write_json
from keras_segattn.export import staging

pytestmark = pytest.mark.once


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text("before")
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".json"
        temporary.write_text("half")
        assert path.read_text() == "before"
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", [lambda path: path.write_text("half"), lambda _: None])
def test_what_fails_leaves_what_was_there(make, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        make(temporary)
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    steps = []
    opened = {}

    def opening(path, *arguments):
        descriptor = open_file(path, *arguments)
        opened[descriptor] = Path(path).name
        return descriptor

    open_file, fsync, replace = os.open, os.fsync, os.replace
    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append(opened[file]), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("replace"), replace(*paths)))
    make_folder(tmp_path / "a" / "b")
    assert steps == ["a", tmp_path.name]
    with atomic_path(tmp_path / "a" / "log.csv") as temporary:
        temporary.write_text("a")
    assert steps[2:] == [".log.part.csv", "replace", "a"]
    artifact = tmp_path / "staging" / "artifact"
    (artifact / "variables").mkdir(parents=True)
    (artifact / "variables" / "data").write_text("a")
    staging.replace(artifact, tmp_path / "a" / "saved", artifact.parent)
    assert steps[5:] == ["variables", "data", "artifact", "replace", "a"]
    # A folder that cannot be synced is none the worse.
    monkeypatch.setattr(os, "fsync", unittest.mock.Mock(side_effect=OSError("Invalid argument")))
    sync(tmp_path)
    with pytest.raises(OSError, match="Invalid"):
        sync(tmp_path / "a" / "log.csv")


def test_writers_at_the_same_time_have_names_of_their_own(tmp_path):
    with atomic_path(tmp_path / "a.npz", "1") as one, atomic_path(tmp_path / "a.npz", "2") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a.npz").read_text() == "one"


def test_text_is_utf8_wherever_it_is_written(tmp_path):
    code = "import sys; from keras_segattn.atomic_files import write_text\n"
    code += "write_text(sys.argv[1], 'caf\\u00e9')"
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.txt"], env=ascii_only, check=True)
    assert (tmp_path / "a.txt").read_bytes() == "caf\u00e9".encode()


def test_json_takes_paths(tmp_path):
    write_json(tmp_path / "a.json", {"folder": Path("runs/mine")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"folder": "runs/mine"}
