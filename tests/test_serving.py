"""The examples that use a trained model: serving it, and segmenting a folder."""

import http.client
import importlib.util
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_segattn.export import ExportedSegmenter, export_model, load_exported
from keras_segattn.inference import segment
from tests.export.cases import ColorPatches, color_network

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.once


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("serving") / "model.onnx"
    export_model(color_network(), path, "onnx", images=ColorPatches())
    return path


def test_good_and_bad_requests_of_many_clients(artifact):
    from benchmarks.serve_load import load

    found = load(artifact, requests=60, clients=8)
    assert found["wrong"] == []
    assert found["statuses"]["good"] == {200: 30}
    assert len(found["statuses"]) == 16
    # Some figures of a run of seconds; the memory is watched over 1,000 requests by hand.
    before, after = found["megabytes"]
    assert after < 1.5 * before


class Slow:
    """A segmenter that finishes when it is told to."""

    def __init__(self, segmenter):
        self.segmenter, self.go = segmenter, threading.Event()
        self.metadata, self.png = segmenter.metadata, segmenter.png

    def __call__(self, image):
        self.go.wait(30)
        return self.segmenter(image)


def test_a_full_queue_and_a_late_answer(artifact):
    import uvicorn

    serve = example("serve")
    arguments = serve.parse_arguments([str(artifact), "--queue", "2", "--timeout", "2"])
    slow = Slow(serve.Segmenter(artifact, threads=1))
    server = serve.Server(slow, arguments)
    config = uvicorn.Config(server.app(), port=0, log_level="warning")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    body = serve.io.BytesIO()
    Image.fromarray(ColorPatches().read(0)[0]).save(body, "PNG")
    answers = []

    def post():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/segment", body.getvalue())
        answer = connection.getresponse()
        answers.append((answer.status, dict(answer.headers), answer.read()))
        connection.close()

    try:
        # One is computed and two wait, all too long; a fourth finds the queue full.
        clients = [threading.Thread(target=post) for _ in range(3)]
        for client in clients:
            client.start()
        while server.count < 3:
            time.sleep(0.01)
        post()
        assert answers[0][0] == 503
        assert answers[0][1]["retry-after"] == "1"
        for client in clients:
            client.join()
        assert [status for status, _, _ in answers[1:]] == [504] * 3
        # What nobody waits for any longer is dropped, or leaves its place when it is done.
        assert server.count == 1
        slow.go.set()
        while server.count:
            time.sleep(0.01)
        post()
        assert answers[-1][0] == 200
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/metrics")
        metrics = connection.getresponse().read().decode()
        connection.close()
        assert 'segment_answers_total{status="504"} 3.0' in metrics
        assert "segment_admitted 0.0" in metrics
        assert "process_resident_memory_bytes" in metrics
    finally:
        slow.go.set()
        running.should_exit = True
        thread.join()


def test_json_and_fixed_sizes(tmp_path, rng):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    path = tmp_path / "fixed.onnx"
    model = color_network()
    export_model(model, path, "onnx", images=ColorPatches(), input_shape=(1, 64, 96))
    serve = example("serve")
    segmenter = serve.Segmenter(path, threads=1)
    server = serve.Server(segmenter, serve.parse_arguments([str(path)]))
    noise = rng.integers(0, 256, (150, 190, 3), dtype="uint8")
    expected = ExportedSegmenter(path)(noise).class_map
    assert np.mean(segmenter(Image.fromarray(noise)) == expected) > 0.98
    assert segmenter(Image.new("RGB", (7, 1))).shape == (1, 7)
    image, mask = ColorPatches().read(3)
    body = serve.io.BytesIO()
    Image.fromarray(image).resize((192, 128), Image.Resampling.NEAREST).save(body, "PNG")
    found = json.loads(server.compute(body.getvalue(), "json").body)
    assert (found["height"], found["width"]) == (128, 192)
    assert found["shares"] == pytest.approx(
        {name: np.mean(mask == i) for i, name in enumerate("rgb")}, abs=0.05
    )
    export_model(model, path, "onnx", images=ColorPatches(), output="logits")
    with pytest.raises(SystemExit, match="returns logits; export it with preprocessing inside"):
        serve.Segmenter(path, threads=1)


def test_16_bits_and_exif_as_in_inference(artifact, rng):
    serve = example("serve")
    grey = rng.integers(0, 65536, (40, 50), dtype="uint16")
    segmenter = serve.Segmenter(artifact, threads=1)
    found = segmenter(Image.fromarray(grey))
    expected = segment(color_network(), (grey // 257).astype("uint8")).class_map
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        found,
        load_exported(artifact)(
            np.repeat((grey // 257).astype("uint8")[None, ..., None], 3, axis=-1)
        )["class_map"][0],
    )


def test_folder(tmp_path, capsys, monkeypatch):
    main = example("predict_folder").main
    model, photos, results = tmp_path / "model.keras", tmp_path / "photos", tmp_path / "results"
    color_network().save(model)
    (photos / "a").mkdir(parents=True)
    masks = {}
    for index, name in enumerate(("0.png", "1.png", "a/0.png")):
        image, masks[name] = ColorPatches().read(index)
        Image.fromarray(image).save(photos / name)
    (photos / "broken.jpg").write_bytes((photos / "0.png").read_bytes()[:200])
    (photos / "notes.txt").write_text("no image")
    with pytest.raises(SystemExit) as end:
        main([str(model), str(photos), str(results), "--overlay"])
    assert "1 images failed, listed in" in str(end.value)
    assert "broken.jpg cannot be read as an image" in str(end.value)
    assert "broken.jpg cannot be read as an image" in (results / "failed.txt").read_text()
    assert sorted(path.name for path in results.rglob("*.*")) == sorted(
        [
            *(f"{base}.png" for base in ("0.png", "1.png", "0.png")),
            *(f"{base}.overlay.jpg" for base in ("0.png", "1.png", "0.png")),
            "failed.txt",
        ]
    )
    for name, mask in masks.items():
        assert np.mean(np.asarray(Image.open(results / f"{name}.png")) == mask) > 0.9
    # What is done is not done again.
    (results / "1.png.png").unlink()
    (photos / "broken.jpg").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in results.rglob("*.png")}
    # From a list, as from the folder.
    (photos / "list.txt").write_text("".join(f"{name}\n" for name in masks))
    main([str(model), str(photos / "list.txt"), str(results)])
    assert "3 images, 2 of them done before" in capsys.readouterr().out
    assert (results / "1.png.png").exists()
    assert not (results / "failed.txt").exists()
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    # Nor does what failed before stay, where nothing is left to do.
    (results / "failed.txt").write_text("broken.jpg")
    main([str(model), str(photos), str(results)])
    assert not (results / "failed.txt").exists()
    with pytest.raises(SystemExit, match="are, or contain, the folder of the images"):
        main([str(model), str(photos), str(photos)])
