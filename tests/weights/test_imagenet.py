import contextlib
import errno
import hashlib
import os
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import keras
import numpy as np
import pytest

from keras_segattn.applications import AttaNet, CCNet
from keras_segattn.backbones import DF1, STDC1, LightBackbone, ResNet18, ShuffleNetV2
from keras_segattn.weights import Preprocessing, download, imagenet, load_backbone_weights
from tests.training import randomize, to_numpy
from tests.weights.cases import state_dict_of

# urllib leaves the answer of a server that fails to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
BGR = Preprocessing((0.4, 0.5, 0.6), (0.25, 0.2, 0.3), "BGR")


@pytest.fixture
def source(rng):
    model = ShuffleNetV2()
    randomize(model, rng)
    return model


@pytest.fixture
def content(source, tmp_path):
    path = tmp_path / "source.npz"
    np.savez(path, **state_dict_of(source))
    return path.read_bytes()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Keras's cache, empty; the folder that files are kept in."""
    home = tmp_path / "keras"
    home.mkdir()
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.setenv("no_proxy", "*")
    return home / "models"


@pytest.fixture
def server():
    """A server on this machine that gives `answer`, a status, a length and a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, length, body = self.server.answer
            self.server.requests += 1
            self.send_response(status)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)
            # For longer than the client waits.
            self.server.go_on.wait(self.server.silence)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests, server.silence, server.go_on = 0, 0, threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def published(server, content, cache, monkeypatch):
    """Publishes `content` on the server, as the weights of ShuffleNetV2."""
    server.answer = 200, len(content), content
    weights = replace(
        imagenet.IMAGENET_WEIGHTS["shufflenet_v2"],
        url=f"http://127.0.0.1:{server.server_port}/shufflenet-weights.npz",
        sha256=hashlib.sha256(content).hexdigest()[:10],
        preprocessing=BGR,
    )
    monkeypatch.setitem(imagenet.IMAGENET_WEIGHTS, "shufflenet_v2", weights)
    return weights


def same(one, other):
    return all(
        np.array_equal(to_numpy(a), to_numpy(b))
        for a, b in zip(one.weights, other.weights, strict=True)
    )


@pytest.mark.once
def test_fetched_once(published, source, server, cache):
    assert same(ShuffleNetV2(weights="imagenet"), source)
    assert same(ShuffleNetV2(weights="imagenet", name="again"), source)
    assert server.requests == 1
    assert [path.name for path in cache.iterdir()] == ["shufflenet-weights.npz"]


@pytest.mark.once
def test_what_is_in_the_cache_must_have_the_hash(published, source, server, cache):
    cache.mkdir()
    (cache / "shufflenet-weights.npz").write_bytes(b"half of it")
    old, new = (cache / f".shufflenet-weights.{i}.part.npz" for i in (1, 2))
    for part in (old, new):
        part.write_bytes(b"of another process")
    os.utime(old, (0, 0))
    assert same(ShuffleNetV2(weights="imagenet"), source)
    assert server.requests == 1
    assert sorted(path.name for path in cache.iterdir()) == [new.name, "shufflenet-weights.npz"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((404, 0, b""), ConnectionError, "404"),
        ((200, 100, b"half"), ConnectionError, "it ended after 4 of 100 bytes"),
        ((200, 7, b"another"), ValueError, "does not have the hash"),
        ((200, 30_000_000, b"much"), ValueError, "larger than the maximum of 15 MB"),
        ((200, None, bytes(15_000_001)), ValueError, "larger than the maximum of 15 MB"),
    ],
)
def test_what_goes_wrong_leaves_nothing(answer, error, message, published, server, cache):
    server.answer = answer
    target = ShuffleNetV2()
    before = target.get_weights()
    with pytest.raises(error, match=f"{published.url}.*{message}") as caught:
        load_backbone_weights(target, "imagenet", "shufflenet_v2")
    assert caught.value.__suppress_context__ or error is ValueError
    assert list(cache.iterdir()) == []
    for one, other in zip(before, target.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.once
@pytest.mark.parametrize(
    ("limit", "message"), [("SILENCE", "timed out"), ("LONGEST", "it took more than 0 minutes")]
)
def test_a_download_has_a_time_limit(limit, message, published, server, cache, monkeypatch):
    monkeypatch.setattr(download, limit, 0.2 if limit == "SILENCE" else 0)
    server.answer, server.silence = (200, 100, b"half"), 60
    with pytest.raises(ConnectionError, match=f"{published.url} could not be .*{message}"):
        ShuffleNetV2(weights="imagenet")
    assert list(cache.iterdir()) == []


@pytest.mark.once
def test_a_full_disk_is_called_so(published, cache, monkeypatch):
    def full(*_):
        yield b"some"
        raise OSError(errno.ENOSPC, "No space left on device")

    # Stands for a write that fails: it comes from outside of the connection.
    monkeypatch.setattr(download, "_blocks", full)
    with pytest.raises(OSError, match=f"No space left.*{published.url} needs up to 15 MB") as error:
        ShuffleNetV2(weights="imagenet")
    assert error.value.errno == errno.ENOSPC
    assert not isinstance(error.value, ConnectionError)
    assert list(cache.iterdir()) == []


@pytest.mark.once
def test_a_home_that_is_not_writable(published, source, server, cache, tmp_path, monkeypatch):
    private = tmp_path / f"keras-segattn-{os.getuid()}"
    monkeypatch.setattr(download.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(download.os, "access", lambda *_: False)
    assert same(ShuffleNetV2(weights="imagenet"), source)
    assert private.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in private.iterdir()] == ["shufflenet-weights.npz"]
    assert list(cache.iterdir()) == []
    # What others can write to is not trusted, nor is a link that they may have put there.
    private.chmod(0o777)
    with pytest.raises(PermissionError, match=r"is open to others\. Set KERAS_HOME"):
        ShuffleNetV2(weights="imagenet")
    private.chmod(0o700)
    private.rename(tmp_path / "elsewhere")
    private.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="Set KERAS_HOME"):
        ShuffleNetV2(weights="imagenet")
    private.unlink()
    # What is there already needs no writing.
    (tmp_path / "elsewhere" / "shufflenet-weights.npz").rename(cache / "shufflenet-weights.npz")
    assert same(ShuffleNetV2(weights="imagenet"), source)
    assert server.requests == 1


@pytest.mark.once
def test_without_a_connection(published, server, cache):
    server.shutdown()
    server.server_close()
    advice = f"Without a connection, download it elsewhere and put it at {cache}"
    with pytest.raises(ConnectionError, match=advice):
        ShuffleNetV2(weights="imagenet")
    assert list(cache.iterdir()) == []


@pytest.mark.once
def test_a_network_keeps_the_preprocessing_of_its_weights(published, source, tmp_path):
    model = AttaNet(
        backbone="shufflenet_v2",
        classes=2,
        filters=8,
        backbone_weights="imagenet",
        auxiliary_heads=True,
    )
    assert model.preprocessing == BGR
    assert model.network.preprocessing == BGR
    assert same(model.network.get_layer("shufflenet_v2"), source)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").preprocessing == BGR
    other = Preprocessing([0] * 3, [1] * 3)
    model = AttaNet(
        backbone="shufflenet_v2",
        classes=2,
        filters=8,
        backbone_weights="imagenet",
        preprocessing=other,
    )
    assert model.preprocessing == other
    assert AttaNet(backbone="light", classes=2, input_shape=(None, None, 1)).preprocessing == (
        imagenet.IMAGENET.for_channels(1)
    )


@pytest.mark.once
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: STDC1(weights="imagenet"), r"STDCNet813M_73\.91\.tar in the folders that"),
        (lambda: DF1(weights="imagenet"), "for Caffe, at https://github.com/lixincn2015"),
        (lambda: ResNet18(weights="imagenet", stem="deep"), r"/resnet18-imagenet\.pth"),
        (
            lambda: CCNet(backbone="resnet18", backbone_weights="imagenet", stem="deep"),
            r"/resnet18-imagenet\.pth",
        ),
        (
            lambda: AttaNet(backbone=LightBackbone(), light=True, backbone_weights="imagenet"),
            "belongs to a backbone by name",
        ),
    ],
)
def test_what_cannot_be_fetched(make, message):
    with pytest.raises(ValueError, match=f"{message}.*Pass the path of a file instead"):
        make()


def test_hashes_are_those_that_torchvision_puts_into_its_names():
    for weights in imagenet.IMAGENET_WEIGHTS.values():
        assert 60 < weights.top1 < 80
        if isinstance(weights, imagenet.PackagedWeights):
            continue
        assert weights.url.startswith("https://download.pytorch.org/models/")
        published = weights.url.rpartition("-")[2].removesuffix(".pth")
        assert weights.sha256.startswith(published)
