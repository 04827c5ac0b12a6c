"""Prediction by many processes, one of which is killed."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_segattn.export import ExportedSegmenter, export_model
from keras_segattn.inference.mask_files import MADE_BY, claim_results
from tests.examples import example
from tests.export.cases import ColorPatches, color_network

ROOT = Path(__file__).resolve().parents[1]
IMAGES, DIFFERENT = 240, 12
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray"),
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc"),
]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("predict_ray") / "model.onnx"
    export_model(color_network(), path, "onnx", images=ColorPatches())
    return path


def start(*arguments):
    # What an actor needs of Keras is the same with each backend; JAX takes the least memory.
    backend = "jax" if importlib.util.find_spec("jax") else "tensorflow"
    return subprocess.Popen(
        [sys.executable, "examples/predict_ray.py", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def workers_of(pid):
    """Returns the processes of the pool that descend from a process."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            names[int(folder.name)] = (folder / "cmdline").read_bytes()
            stat = (folder / "stat").read_text().rpartition(")")[2]
        except OSError:
            continue
        parents[int(folder.name)] = int(stat.split()[1])

    def descends(child):
        return child == pid or (child in parents and descends(parents[child]))

    return [p for p, name in names.items() if name.startswith(b"ray::MapWorker") and descends(p)]


def test_a_killed_worker_costs_no_mask(artifact, tmp_path):
    photos, results = tmp_path / "photos", tmp_path / "masks"
    (photos / "a").mkdir(parents=True)
    names = [f"{'a/' if index % 2 else ''}{index}.png" for index in range(IMAGES)]
    for index, name in enumerate(names):
        if index < DIFFERENT:
            # Large, so that the end is not reached before the kill.
            large = Image.fromarray(ColorPatches().read(index)[0]).resize((384, 256))
            large.save(photos / name)
        else:
            os.link(photos / names[index % DIFFERENT], photos / name)
    (photos / "broken.jpg").write_bytes(b"no image")
    claim_results(results, artifact, {}, [])
    (results / "0.png.png").write_text("done before")
    # What a job that was killed has left.
    (results / ".2.png.png.0.part").write_text("half")

    process = start(artifact, photos, results, "--workers", "2")
    try:
        while len(list(results.rglob("[0-9]*.png"))) < 20 and process.poll() is None:
            time.sleep(0.02)
        killed = workers_of(process.pid)
        assert len(killed) == 2, process.communicate()[0]
        os.kill(killed[0], signal.SIGKILL)
        assert len(list(results.rglob("[0-9]*.png"))) < IMAGES
        output, _ = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == 1, output
    assert f"{IMAGES + 1} images, 1 of them already done" in output
    assert f"{IMAGES - 1} masks written" in output
    assert "1 image failed" in output
    assert re.fullmatch(
        r"\S+broken.jpg cannot be read as an image: .*\n", (results / "failed.txt").read_text()
    )

    written = {
        path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()
    }
    assert written == {f"{name}.png" for name in names} | {"failed.txt", MADE_BY}
    assert (results / "0.png.png").read_text() == "done before"
    segment = ExportedSegmenter(artifact)
    expected = [segment(photos / name) for name in names[:DIFFERENT]]
    for index, name in enumerate(names[1:], start=1):
        with Image.open(results / f"{name}.png") as mask:
            np.testing.assert_array_equal(np.asarray(mask), expected[index % DIFFERENT].class_map)
            assert mask.getpalette()[:9] == np.ravel(expected[0].palette).tolist()
    assert not workers_of(process.pid)


def test_more_than_the_cluster_has(monkeypatch):
    predict_ray = example("predict_ray")
    machines = [{"CPU": 5.0}, {"CPU": 2.0, "GPU": 1.0}]
    nodes = [{"Alive": True, "Resources": has} for has in machines]
    nodes.append({"Alive": False, "Resources": {"CPU": 64.0}})
    monkeypatch.setattr(predict_ray.ray, "nodes", lambda: nodes)
    assert predict_ray.room_for(cpus=1, gpus=0) == 7
    assert predict_ray.room_for(cpus=2, gpus=0) == 3
    assert predict_ray.room_for(cpus=1, gpus=0.5) == 2
    with pytest.raises(SystemExit, match="a worker of 6 CPUs and 0 GPUs: 5 CPUs and 0 GPUs; 2 CPU"):
        predict_ray.room_for(cpus=6, gpus=0)


def test_nothing_left_to_do(artifact, tmp_path):
    photos, results = tmp_path / "photos", tmp_path / "masks"
    for path in (photos / "0.png", results / "0.png.png"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with pytest.raises(SystemExit, match="contains 1 mask of an unknown model"):
        example("predict_ray").main([str(artifact), str(photos), str(results)])
    (results / "0.png.png").unlink()
    claim_results(results, artifact, {}, [])
    for name in ("0.png.png", "failed.txt"):
        (results / name).touch()
    main = example("predict_ray").main
    main([str(artifact), str(photos), str(results)])
    assert not (results / "failed.txt").exists()
    with pytest.raises(SystemExit, match="is or contains the image folder"):
        main([str(artifact), str(photos), str(tmp_path)])


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("--workers", "0", 1), ("--cpus", "0", 1), ("--cpus", "-2", 1), ("--gpus", "-0.5", 0)],
)
def test_too_few(capsys, option, value, least):
    with pytest.raises(SystemExit):
        example("predict_ray").parse_arguments(["m.onnx", "photos", "masks", option, value])
    message = f"{option} must be at least {least}. Received: {value}"
    assert message in capsys.readouterr().err
