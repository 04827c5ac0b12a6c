import io
import threading
import time

import keras
import numpy as np
import pytest

from keras_segattn.applications import CCNet
from keras_segattn.data import RoadScenes
from keras_segattn.demo import PHOTO, networks
from keras_segattn.demo.session import LONGEST_SIDE, Session
from keras_segattn.inference import segment
from tests.applications.cases import tiny_backbone

pytestmark = pytest.mark.once


@pytest.fixture
def path(tmp_path):
    networks.load_network.cache_clear()
    model = CCNet(backbone=tiny_backbone(), classes=3, filters=16)
    model.class_names, model.palette = ("sky", "road", "car"), [(0, 0, 9), (9, 0, 0), (0, 9, 0)]
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_a_session_shows_what_the_network_finds(path):
    image, _ = RoadScenes("test", 1, (64, 96)).read(0)
    session = Session()
    session.open(image)
    assert session.result is None
    assert session.layers() == []
    session.choose(str(path))
    model = keras.saving.load_model(path)
    want = segment(model, image)
    np.testing.assert_array_equal(session.result.class_map, want.class_map)
    legend = session.legend()
    assert sum(share for *_, share in legend) == pytest.approx(1)
    assert [share for *_, share in legend] == sorted((s for *_, s in legend), reverse=True)
    colors = dict(zip(model.class_names, model.palette, strict=True))
    assert all(colors[name] == color for name, color, _ in legend)
    label = want.class_map[10, 20]
    assert session.class_at((10, 20)) == model.class_names[label]
    assert session.layers() == ["attention"]
    assert session.attention((10, 20), "attention").startswith(b"\x89PNG")


def test_large_images_are_reduced_and_small_ones_kept():
    image_module = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image_module.new("L", (3 * LONGEST_SIDE, LONGEST_SIDE), 77).save(file, "JPEG")
    session = Session()
    session.open(file.getvalue())
    assert session.image.shape == (round(LONGEST_SIDE / 3), LONGEST_SIDE, 3)
    assert np.abs(session.image.astype(int) - 77).max() <= 2
    session.open(np.zeros((40, 50, 3), "uint8"))
    assert session.image.shape == (40, 50, 3)


def test_what_is_no_image_or_no_network_is_refused(path, tmp_path):
    session = Session()
    with pytest.raises(ValueError, match="image"):
        session.open(b"no image")
    (tmp_path / "broken.keras").write_bytes(b"no network")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    for name, message in (
        ("missing.keras", "There is no file"),
        ("broken.keras", "cannot be loaded"),
        ("other.keras", "contains no network"),
    ):
        with pytest.raises(ValueError, match=message):
            session.choose(str(tmp_path / name))
    session.open(np.zeros((40, 50, 3), "uint8"))
    session.choose(str(path))
    with pytest.raises(ValueError, match="There is no file"):
        session.choose("missing.keras")
    assert session.result is not None


def test_networks_that_are_offered_know_their_classes():
    networks.load_network.cache_clear()
    model = networks.load_network("CCNet, ResNet-18, untrained")
    assert len(model.class_names) == model.output_shape[-1] == len(model.palette)


def test_an_image_may_come_with_its_network(path):
    session = Session()
    session.open(PHOTO, str(path))
    assert session.choice == str(path)
    assert session.result.class_map.shape == session.image.shape[:2] == (360, 640)
    with pytest.raises(ValueError, match="There is no file"):
        session.open(np.zeros((40, 50, 3), "uint8"), "missing.keras")
    assert session.choice == str(path)


def test_a_closed_session_holds_nothing_of_the_visitor(path):
    session = Session()
    session.open(np.zeros((40, 50, 3), "uint8"), str(path))
    # Nor does an open one hold probabilities, which are many times as large.
    assert session.result.probabilities is None
    session.close()
    assert vars(session) == {"model": None, "choice": None, "image": None, "result": None}


def test_images_of_too_many_pixels_are_refused(monkeypatch):
    image_module = pytest.importorskip("PIL.Image")
    monkeypatch.setattr("keras_segattn.demo.session.MOST_PIXELS", 99)
    file = io.BytesIO()
    image_module.new("L", (10, 10)).save(file, "PNG")
    with pytest.raises(ValueError, match="pixels"):
        Session().open(file.getvalue())


def test_one_visitor_is_computed_for_at_a_time(monkeypatch):
    """Whoever has left while others were computed for is not computed for any longer."""
    monkeypatch.setattr("keras_segattn.demo.session.load_network", lambda choice: choice)
    computing, most, seen = [], [], []

    def compute(model, image, **options):
        computing.append(model)
        most.append(len(computing))
        seen.append(model)
        if model == "first":
            started.set()
            go.wait(30)
        computing.pop()

    monkeypatch.setattr("keras_segattn.demo.session.segment", compute)
    started, go = threading.Event(), threading.Event()
    sessions = {name: Session() for name in ("first", "second", "gone")}
    image = np.zeros((40, 50, 3), "uint8")
    threads = [
        threading.Thread(target=session.open, args=(image, name))
        for name, session in sessions.items()
    ]
    threads[0].start()
    assert started.wait(30)
    for thread in threads[1:]:
        thread.start()
    while sessions["gone"].image is None:
        time.sleep(0.01)
    sessions["gone"].close()
    go.set()
    for thread in threads:
        thread.join()
    assert seen == ["first", "second"]
    assert max(most) == 1
