"""The examples for a trained model: a server, and the segmentation of a folder."""

import base64
import contextlib
import http.client
import io
import json
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_segattn.command import predict, serve
from keras_segattn.export import ExportedSegmenter, export_model
from keras_segattn.inference import Segmentation
from tests.export.cases import ColorPatches, color_network

ROOT = Path(__file__).resolve().parents[1]
bodies = pytest.importorskip("keras_segattn.serving.bodies", reason="needs the extra serve")
server_module = pytest.importorskip("keras_segattn.serving.server", reason="needs the extra serve")

pytestmark = pytest.mark.tensorflow


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
    assert len(found["statuses"]) == 18
    # Some figures of a run of seconds; the memory is watched over 1,000 requests by hand.
    before, after = found["megabytes"]
    assert after < 1.5 * before


class Slow:
    """A segmenter that finishes when it is told to."""

    def __init__(self, segmenter):
        self.segmenter, self.go, self.calls = segmenter, threading.Event(), 0
        self.metadata, self.shape = segmenter.metadata, segmenter.shape
        self.takes_timeout, self.value_range = False, segmenter.value_range

    def __call__(self, image):
        self.calls += 1
        self.go.wait(30)
        return self.segmenter(image)


@contextlib.contextmanager
def serving(segmenter, artifact, *options):
    """Runs the server in a thread; gives it and a function that sends a request to it."""
    import uvicorn

    limits = serve.parse_arguments([str(artifact), *options])
    server = server_module.Server(segmenter, limits)
    config = uvicorn.Config(server.app(), port=0, **server_module.uvicorn_options(limits))
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]

    def send(path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET" if body is None else "POST", path, body, headers or {})
        answer = connection.getresponse()
        result = answer.status, answer.read(), answer.headers
        connection.close()
        return result

    send.port = port
    try:
        yield server, send
    finally:
        if isinstance(segmenter, Slow):
            segmenter.go.set()
        running.should_exit = True
        thread.join()


def encoded(image, format="PNG"):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format)
    return file.getvalue()


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_full_queue_and_a_late_answer(artifact):
    slow, body = Slow(ExportedSegmenter(artifact)), encoded(ColorPatches().read(0)[0])
    with serving(slow, artifact, "--queue", "2", "--timeout", "2") as (server, send):
        answers = []
        # One is computed and two wait, all too long; a fourth finds the queue full.
        clients = [
            threading.Thread(target=lambda: answers.append(send("/segment", body)))
            for _ in range(3)
        ]
        for client in clients:
            client.start()
        wait_for(lambda: server.count == 3)
        status, _, headers = send("/segment", body)
        assert (status, headers["retry-after"]) == (503, "1")
        for client in clients:
            client.join()
        assert [status for status, *_ in answers] == [504] * 3
        # What nobody waits for any longer is dropped, or leaves its place when it is done.
        wait_for(lambda: server.count == 1)
        # The server lives, and should get no more work until that is done.
        assert send("/health")[0] == 200
        assert send("/ready")[0] == 503
        slow.go.set()
        wait_for(lambda: not server.count)
        assert send("/ready")[0] == 200
        assert send("/segment", body)[0] == 200
        metrics = send("/metrics")[1].decode()
        assert 'segment_answers_total{status="504"} 3.0' in metrics
        assert "segment_admitted 0.0" in metrics
        assert "process_resident_memory_bytes" in metrics


def test_clients_that_hang_up_are_not_computed_for(artifact):
    slow, body = Slow(ExportedSegmenter(artifact)), encoded(ColorPatches().read(0)[0])
    with serving(slow, artifact) as (server, send):
        first = threading.Thread(target=send, args=("/segment", body))
        first.start()
        wait_for(lambda: slow.calls == 1)
        for _ in range(3):
            client = http.client.HTTPConnection("127.0.0.1", send.port)
            client.request("POST", "/segment", body)
            wait_for(lambda: server.count == 2)
            client.close()
            wait_for(lambda: server.count == 1)
        slow.go.set()
        first.join()
        wait_for(lambda: not server.count)
        assert slow.calls == 1


def test_clients_that_send_slowly_take_no_place(artifact):
    with serving(ExportedSegmenter(artifact), artifact, "--queue", "0") as (_, send):
        slow = [socket.create_connection(("127.0.0.1", send.port)) for _ in range(5)]
        for client in slow:
            client.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx")
        assert send("/segment", encoded(ColorPatches().read(0)[0]))[0] == 200
        for client in slow:
            client.close()


def test_clients_that_dally_lose_their_connection(artifact):
    options = ["--connections", "8", "--header-timeout", "0.5", "--timeout", "0.5"]
    with serving(ExportedSegmenter(artifact), artifact, *options) as (_, send):
        slow = [socket.create_connection(("127.0.0.1", send.port)) for _ in range(8)]
        # Nothing, a part of the headers, and a body that nobody waits for.
        for client in slow[:4]:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: ")
        slow[0].sendall(b"y\r\nContent-Length: 9\r\n\r\n")
        wait_for(lambda: send("/health")[0] == 503)
        wait_for(lambda: send("/health")[0] == 200)
        for client in slow:
            client.settimeout(30)
            with contextlib.suppress(ConnectionResetError):
                while client.recv(4096):
                    pass
            client.close()
        # A connection that is used goes on, longer than either limit.
        connection, end = http.client.HTTPConnection("127.0.0.1", send.port), time.monotonic() + 2
        connection.connect()
        used = connection.sock
        while time.monotonic() < end:
            connection.request("GET", "/health")
            assert connection.getresponse().read()
            time.sleep(0.2)
        assert connection.sock is used
        connection.close()


class Endless:
    """A segmenter whose runtime ends it at the timeout."""

    takes_timeout = True

    def __init__(self, segmenter):
        self.metadata, self.shape, self.given = segmenter.metadata, segmenter.shape, []
        self.value_range = segmenter.value_range

    def __call__(self, image, timeout):
        self.given.append(timeout)
        time.sleep(timeout)
        raise TimeoutError


def test_a_computation_ends_at_the_timeout(artifact):
    endless, body = Endless(ExportedSegmenter(artifact)), encoded(ColorPatches().read(0)[0])
    with serving(endless, artifact, "--timeout", "0.3") as (server, send):
        for _ in range(2):
            assert send("/segment", body)[0] == 504
            wait_for(lambda: not server.count)
            assert send("/ready")[0] == 200
    assert len(endless.given) == 2
    assert 0 < max(endless.given) <= 0.3


def test_forms(artifact, rng):
    image = rng.integers(0, 256, (40, 50, 3), dtype="uint8")
    files = [encoded(image), encoded(image, "BMP"), encoded(np.full_like(image, 13))]
    with serving(ExportedSegmenter(artifact), artifact) as (_, send):
        for file in files:
            form = (
                b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x\r\n'
                b'Content-Disposition: form-data; name="image"; filename="street.png"\r\n'
                b"Content-Type: image/png\r\n\r\n" + file + b"\r\n--x--\r\n"
            )
            for kind in ("multipart/form-data; boundary=x", "Multipart/Form-Data; Boundary=x"):
                headers = {"Content-Type": kind}
                assert send("/segment", form, headers)[:2] == send("/segment", file)[:2]
        status, message, _ = send("/segment", form.replace(b"file", b"fool"), headers)
        assert (status, b"must contain one file. Received: 0" in message) == (400, True)
        many = form.replace(b"\r\n--x--", 20 * b"\r\n--x\r\n\r\n" + b"\r\n--x--")
        assert send("/segment", many, headers)[0] == 413
        headers = {"Content-Type": "multipart/form-data"}
        assert send("/segment", form, headers)[0] == 400


def test_base64(artifact, rng):
    file = encoded(rng.integers(0, 256, (40, 50, 3), dtype="uint8"))
    text, headers = base64.b64encode(file).decode(), {"Content-Type": "application/json"}
    with serving(ExportedSegmenter(artifact), artifact) as (_, send):
        expected = send("/segment", file)[:2]
        for value in (text, f"data:image/png;base64,{text}", text.replace("/", "\\/")):
            assert send("/segment", f'{{"image": "{value}"}}', headers)[:2] == expected
        capitals = {"Content-Type": "Application/JSON"}
        assert send("/segment", f'{{"image": "{text}"}}', capitals)[:2] == expected
        for wrong in (text, f'{{"file": "{text}"}}', '{"image": "a"}', '{"image": 3}', "[" * 10000):
            status, message, _ = send("/segment", wrong, headers)
            assert (status, b"JSON must have the form" in message) == (400, True)


@pytest.mark.parametrize(
    ("shape", "status"), [((1, 3000), 200), ((1, 3001), 413), ((4097, 1), 413), ((33, 3000), 413)]
)
def test_sides_and_padded_pixels_are_bounded(artifact, shape, status):
    limits = serve.parse_arguments([str(artifact), "--most-pixels", str(32 * 3000)])
    server = server_module.Server(ExportedSegmenter(artifact), limits)
    body = encoded(np.zeros(shape, "uint8"))
    if status == 200:
        assert server.open(body).shape == (*shape, 3)
    else:
        with pytest.raises(bodies.HTTPException) as error:
            server.open(body)
        assert error.value.status_code == status


def test_images_that_the_network_does_not_take(artifact):
    """Twelve bands, and floats that are not from 0 to 1, in files of NumPy."""
    segmenter = ExportedSegmenter(artifact)
    with serving(segmenter, artifact) as (_, send):
        for array, message in (
            (np.zeros((40, 50, 12), "uint8"), "12 channels"),
            (np.full((40, 50, 3), 255.0), "from 0 to 1"),
        ):
            file = io.BytesIO()
            np.save(file, array)
            status, body, _ = send("/segment", file.getvalue())
            assert status == 400
            assert message in body.decode()


def test_json_and_fixed_sizes(tmp_path, rng):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    path = tmp_path / "fixed.onnx"
    model = color_network()
    export_model(model, path, "onnx", images=ColorPatches(), input_shape=(1, 64, 96))
    arguments = serve.parse_arguments([str(path)])
    server = server_module.Server(serve.load(arguments), arguments)
    image, mask = ColorPatches().read(3)
    body = encoded(np.kron(image, np.ones((2, 2, 1), "uint8")))
    found = json.loads(server.compute(body, "json").body)
    assert (found["height"], found["width"]) == (128, 192)
    assert found["shares"] == pytest.approx(
        {name: np.mean(mask == i) for i, name in enumerate("rgb")}, abs=0.05
    )
    labels = Image.open(io.BytesIO(base64.b64decode(found["png"])))
    np.testing.assert_array_equal(labels, ExportedSegmenter(path)(body).class_map)


def test_many_classes(artifact):
    result = ExportedSegmenter(artifact)(ColorPatches().read(0)[0])
    result.class_map = result.class_map.astype("int32") + 299
    labels = np.asarray(Image.open(io.BytesIO(bodies.png(result))))
    np.testing.assert_array_equal(labels, result.class_map)


def test_what_cannot_be_served(tmp_path, artifact):
    names = ("logits.onnx", "other.onnx", "incomplete.onnx")
    logits, other, incomplete = (tmp_path / name for name in names)
    export_model(color_network(), logits, "onnx", images=ColorPatches(), output="logits")
    other.write_bytes(artifact.read_bytes()[:-50])
    # The field `metadata_props`, with a key and a value.
    incomplete.write_bytes(b'r&\n\rkeras_segattn\x12\x15{"keras_segattn":"1"}')
    for path, message in [
        (logits, "returns logits; export it with"),
        (other, "has no metadata of `export_model`, or is damaged"),
        (incomplete, "has incomplete metadata: it lacks 'network'"),
        (tmp_path / "none.onnx", "There is no artifact at"),
        (tmp_path, "not an artifact in a known format"),
    ]:
        with pytest.raises(SystemExit, match=f"cannot be served: .*{message}"):
            serve.load(serve.parse_arguments([str(path)]))


@pytest.mark.parametrize(
    "option",
    [
        "--port 99999",
        "--queue -5",
        "--timeout nan",
        "--timeout 0",
        "--workers 0",
        "--most-bytes 0",
        "--threads x",
    ],
)
def test_options_out_of_range(option, artifact, capsys):
    with pytest.raises(SystemExit):
        serve.parse_arguments([str(artifact), *option.split()])
    assert f"argument {option.split()[0]}: " in capsys.readouterr().err


def test_folder(tmp_path, capsys, monkeypatch):
    main = predict.main
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
    assert "1 image failed, listed in" in str(end.value)
    assert "broken.jpg cannot be read as an image" in str(end.value)
    assert "broken.jpg cannot be read as an image" in (results / "failed.txt").read_text()
    assert sorted(path.name for path in results.rglob("*.*")) == sorted(
        [
            *(f"{base}.png" for base in ("0.png", "1.png", "0.png")),
            *(f"{base}.overlay.jpg" for base in ("0.png", "1.png", "0.png")),
            "failed.txt",
            "made_by.json",
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
    assert "3 images, 2 of them already done" in capsys.readouterr().out
    assert (results / "1.png.png").exists()
    assert not (results / "failed.txt").exists()
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    # Earlier failures do not stay either if nothing is left to do.
    (results / "failed.txt").write_text("broken.jpg")
    main([str(model), str(photos), str(results)])
    assert not (results / "failed.txt").exists()
    with pytest.raises(SystemExit, match="is or contains the image folder"):
        main([str(model), str(photos), str(photos)])
    # Masks of another model, or made with other options, are not mixed in either.
    other = tmp_path / "other.keras"
    color_network().save(other)
    (photos / "2.png").write_bytes((photos / "1.png").read_bytes())
    for arguments, message in (
        ([other], r"contains 3 masks of model\.keras .* new masks are of other\.keras"),
        ([model, "--flip"], r"new masks are of model\.keras .* with .*flip=True"),
    ):
        path, *flags = map(str, arguments)
        with pytest.raises(SystemExit, match=message):
            main([path, str(photos), str(results), *flags])
    assert not (results / "2.png.png").exists()


def test_images_that_end_the_process(tmp_path, monkeypatch, capsys):
    """One image that needs too much memory: the others are done, and it is passed over."""
    module = predict
    model, photos, results = tmp_path / "model.keras", tmp_path / "photos", tmp_path / "results"
    model.write_bytes(b"stands for one")
    photos.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(np.zeros((4, 4, 3), "uint8")).save(photos / name)
    asked = []

    def segment(model, path, **options):
        asked.append(path.name)
        if path.name == "b.png":
            raise RuntimeError("out of memory")
        return Segmentation(np.zeros((4, 4, 3), "uint8"), np.zeros((4, 4), "uint8"), None, 2)

    monkeypatch.setattr(module, "load_keras_model", lambda path: None)
    monkeypatch.setattr(module, "segment", segment)
    arguments = [str(model), str(photos), str(results)]
    # Each backend raises another kind of error.
    with pytest.raises(SystemExit, match=r"1 image failed.*\n.*b.png: out of memory"):
        module.main(arguments)
    assert asked == ["a.png", "b.png", "c.png"]
    # Deaths of earlier processes: such an image comes last, and after three not any more.
    (results / "a.png.png").unlink()
    (results / "c.png.png").unlink()
    (results / ".a.png.png.0.part").touch()
    for attempt in range(3):
        (results / f".b.png.png.{attempt}.part").touch()
    asked.clear()
    with pytest.raises(SystemExit, match=r"3 processes died while working on .*b.png"):
        module.main(arguments)
    assert asked == ["c.png", "a.png"]
    hidden = sorted(path.name for path in results.glob(".*"))
    assert hidden == [f".b.png.png.{attempt}.part" for attempt in range(3)]
    with pytest.raises(SystemExit, match="out of memory"):
        module.main([*arguments, "--retry"])
    assert list(results.glob(".*")) == []
