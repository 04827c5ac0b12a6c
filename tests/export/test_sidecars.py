"""The files beside an artifact, and programs in other languages that read them."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from keras_segattn.export import export_model, read_metadata, sidecars
from keras_segattn.export.formats import FORMATS
from keras_segattn.weights import Preprocessing
from tests.export.cases import PATHS, ColorPatches, color_network, needs_runtime

pytestmark = pytest.mark.tensorflow
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("format", PATHS)
def test_every_format_has_both_files(format, tmp_path):
    needs_runtime(format)
    path, folder = tmp_path / PATHS[format], not FORMATS[format].suffix
    for _ in range(2):
        export_model(color_network(), path, format, images=ColorPatches())
    description, labels = sidecars.sidecar_paths(path, folder)
    content = json.loads(description.read_text())
    assert {key: content[key] for key in read_metadata(path)} == read_metadata(path)
    assert labels.read_text() == "r\ng\nb\n"
    assert (content["schema"], content["format"], content["labels"]) == (1, format, labels.name)
    file = description.parent / content["file"]
    assert file.is_file()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert content["sha256"] == (None if folder else digest)
    beside = [path] if folder else [path, description, labels]
    assert sorted(tmp_path.iterdir()) == sorted(beside)


def write(path, **changes):
    """Writes the two files of an artifact that is a stand-in."""
    path.write_bytes(b"weights")
    metadata = {"keras_segattn": "1", "classes": 2, "class_names": ["a", "b"], **changes}
    files = sidecars.write_sidecars(path, path, FORMATS["onnx"], metadata)
    return metadata, *files


def test_names_are_lines_and_missing_names_are_numbers(tmp_path):
    _, description, labels = write(tmp_path / "m.onnx", class_names=["Straße", 'a "b"\\\n c'])
    assert labels.read_text(encoding="utf-8") == 'Straße\na "b"\\ c\n'
    sidecars.check_sidecars(tmp_path / "m.onnx", folder=False)
    _, description, labels = write(tmp_path / "m.onnx", class_names=None)
    assert labels.read_text() == "0\n1\n"
    assert json.loads(description.read_text())["class_names"] is None
    sidecars.check_sidecars(tmp_path / "m.onnx", folder=False)


@pytest.mark.parametrize("changed", ["description", "labels", "only labels"])
@pytest.mark.parametrize("folder", [False, True])
def test_files_of_other_origin_are_not_replaced(changed, folder, tmp_path):
    path = tmp_path / ("m" if folder else "m.onnx")
    write(tmp_path / "other.onnx")
    path.mkdir() if folder else path.write_bytes(b"weights")
    description, labels = sidecars.sidecar_paths(path, folder)
    shutil.copy(tmp_path / "other.onnx.json", description)
    shutil.copy(tmp_path / "other.onnx.labels.txt", labels)
    sidecars.check_sidecars(path, folder)
    if changed == "description":
        description.write_text('{"mine": 1}')
    elif changed == "labels":
        labels.write_text("mine\n")
    else:
        description.unlink()
    strange = description if changed == "description" else labels
    with pytest.raises(ValueError, match=rf"{strange.name} was not written by `export_model`"):
        sidecars.check_sidecars(path, folder)


def test_an_export_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "m.onnx.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"m\.onnx\.json was not written by `export_model`"):
        export_model(color_network(), tmp_path / "m.onnx", "onnx")
    assert (tmp_path / "m.onnx.json").read_text() == "[1, 2]"


@pytest.mark.parametrize("moves", range(4))
def test_a_killed_export_leaves_no_description_of_another_artifact(moves, tmp_path, monkeypatch):
    """Ends an export at each of its steps: removal, the artifact, the description, the labels."""
    path, staged = tmp_path / "m.onnx", tmp_path / "staged"
    write(path, class_names=["old", "b"])
    staged.mkdir()
    new = staged / "artifact.onnx"
    _, *files = write(new, class_names=["new", "b"])
    new.write_bytes(b"new weights")
    done, move = [], os.replace

    def replace(*paths):
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(paths)
        move(*paths)

    monkeypatch.setattr(os, "replace", replace)
    try:
        sidecars.remove_sidecars(path)
        os.replace(new, path)
        sidecars.move_sidecars(files, path)
    except KeyboardInterrupt:
        pass
    description, labels = sidecars.sidecar_paths(path, folder=False)
    if description.exists():
        assert path.read_bytes() == b"new weights"
        assert json.loads(description.read_text())["class_names"][0] == "new"
    if labels.exists():
        assert labels.read_text() == "new\nb\n"
    assert (description.exists(), labels.exists()) == (moves > 1, moves > 2)
    # The next export may go on.
    sidecars.check_sidecars(path, folder=False)


@pytest.fixture(params=["JavaScript", "C++"])
def program(request, tmp_path):
    """The command of a program that reads a description, or a skipped test."""
    if request.param == "JavaScript":
        if shutil.which("node") is None:
            pytest.skip("needs Node")
        return ["node", str(EXAMPLES / "read_artifact.mjs")]
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    target, source = tmp_path / "read_artifact", EXAMPLES / "read_artifact.cpp"
    options = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["g++", *options, str(source), "-o", str(target)], check=True)
    return [str(target)]


def ask(program, description, pixel):
    command = [*program, str(description), *map(str, pixel)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if program[0] == "node":
        answer = json.loads(output)
        return answer["names"], answer["data"]
    *names, numbers = output.splitlines()
    return names, [float(number) for number in numbers.split()]


def test_programs_in_other_languages(program, tmp_path):
    pixel = [255, 128, 3]
    preprocessing = Preprocessing([0.4, 0.5, 0.6], [0.1, 0.2, 0.3])
    for order in ("RGB", "BGR"):
        preprocessing = Preprocessing([0.4, 0.5, 0.6], [0.1, 0.2, 0.3], channel_order=order)
        for inside in (True, False):
            metadata, description, _ = write(
                tmp_path / "m.onnx",
                class_names=["Straße", 'a "b" \\'],
                input={"name": "images", "dtype": "uint8", "shape": [None, None, None, 3]},
                output="class_map",
                threshold=None,
                preprocessing={"inside": inside, **preprocessing.get_config()},
            )
            names, numbers = ask(program, description, pixel)
            assert names == metadata["class_names"]
            expected = pixel if inside else np.array(preprocessing(np.float32([[pixel]])))[0, 0]
            np.testing.assert_allclose(numbers, expected, rtol=1e-4)


def test_a_newer_schema_is_refused_by_the_programs(program, tmp_path):
    _, description, _ = write(tmp_path / "m.onnx")
    content = json.loads(description.read_text())
    description.write_text(json.dumps({**content, "schema": 2}))
    result = subprocess.run([*program, str(description)], capture_output=True, text=True)
    assert result.returncode != 0
    assert "schema" in result.stderr
