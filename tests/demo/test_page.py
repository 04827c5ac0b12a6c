"""The page as a visitor sees it, in a browser if one is installed."""

import asyncio
import base64
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import unittest.mock
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from keras_segattn.applications import CCNet
from keras_segattn.demo import PHOTO, __main__
from keras_segattn.demo.networks import FOR_DRAWINGS, FOR_PHOTOS
from keras_segattn.images import read_image
from tests.applications.cases import tiny_backbone

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.tensorflow


@pytest.fixture
def network(tmp_path):
    model = CCNet(backbone=tiny_backbone(), classes=2, filters=16)
    model.class_names, model.palette = ("land", "water"), [(200, 150, 0), (0, 80, 200)]
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@contextlib.contextmanager
def served(*arguments):
    pytest.importorskip("nicegui")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "keras_segattn.demo", "--no-browser", "--port", str(port)]
    # NiceGUI has a mode of its own for tests, which this is none of.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.time() + 120
        while time.time() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(address) as answer:
                assert answer.status == 200
                break
            time.sleep(0.2)
        assert process.poll() is None, process.stdout.read().decode()
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextlib.contextmanager
def browser_page():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium or Chrome")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(120_000)
        yield page
        browser.close()


def test_a_visit(network, tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    photo = tmp_path / "photo.png"
    image_module.fromarray(np.full((50, 70, 3), 90, "uint8")).save(photo)
    (tmp_path / "notes.png").write_text("no image")
    with browser_page() as page, served(network) as address:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        hint = page.get_by_text("Click a pixel to see")
        hint.wait_for()
        # The classes, whose shares are those of the whole image.
        legend = page.get_by_text(re.compile(r"^(land|water) \d+\.\d%$"))
        legend.first.wait_for()
        shares = [float(text.split()[1].rstrip("%")) for text in legend.all_inner_texts()]
        assert sum(shares) == pytest.approx(100, abs=0.2)

        picture = page.locator("div.max-w-3xl").bounding_box()
        page.mouse.click(picture["x"] + 1, picture["y"] + 1)
        page.get_by_text(re.compile("^row 0, column 0: (land|water)$")).wait_for()
        attention = page.locator("img[src^='data:image/png']")
        attention.wait_for()
        before = attention.get_attribute("src")
        page.mouse.click(picture["x"] + picture["width"] / 2, picture["y"] + 1)
        middle = read_image(PHOTO).shape[1] // 2
        page.get_by_text(re.compile(f"^row 0, column {middle}: ")).wait_for()
        assert attention.get_attribute("src") != before

        upload = page.locator("input[type=file]")
        upload.set_input_files(tmp_path / "notes.png")
        page.get_by_text("cannot be read as an image").wait_for()
        upload.set_input_files(photo)
        attention.wait_for(state="hidden")
        hint.wait_for()
        picture = page.locator("div.max-w-3xl").bounding_box()
        assert picture["width"] / picture["height"] == pytest.approx(70 / 50, rel=0.02)

        page.get_by_label("or the path of a .keras file").fill("missing.keras")
        page.keyboard.press("Enter")
        page.get_by_text("There is no file missing.keras").wait_for()
        ours = (address, address.replace("http", "ws"), "data:", "blob:")
        assert [url for url in asked if not url.startswith(ours)] == []


def test_photos_and_drawings_get_the_network_that_knows_them():
    """Without a file, and with no network but those that come trained."""
    with browser_page() as page, served() as address:
        expect = pytest.importorskip("playwright.sync_api").expect
        page.goto(address)
        road = page.get_by_text(re.compile(r"^Road \d+\.\d%$"))
        network = page.get_by_label("network", exact=True)
        examples = page.locator("div.cursor-pointer")
        for example, name in ((None, FOR_PHOTOS), (1, FOR_DRAWINGS), (0, FOR_PHOTOS)):
            if example is not None:
                examples.nth(example).click()
            expect(network).to_have_value(name, timeout=60_000)
            road.wait_for()


@pytest.fixture
def page(monkeypatch):
    """A page whose elements do nothing, and the texts of its hint and of its messages."""
    ui = pytest.importorskip("nicegui").ui
    from keras_segattn.demo.page import Page

    page, texts = Page([]), []
    page.hint, page.attention, page.layer = (unittest.mock.Mock() for _ in range(3))
    page.legend = unittest.mock.MagicMock()
    page.hint.set_text = texts.append
    monkeypatch.setattr(ui, "notify", lambda text, **_: texts.append(text))

    async def io_bound(action, *arguments):
        return action(*arguments)

    monkeypatch.setattr("nicegui.run.io_bound", io_bound)
    return page, texts


@pytest.mark.once
@pytest.mark.parametrize("error", [ValueError("bad"), RuntimeError("bad"), MemoryError("bad")])
def test_nobody_waits_for_what_failed(error, page):
    page, texts = page
    asyncio.run(page._update(unittest.mock.Mock(side_effect=error)))
    assert texts == ["one moment ...", "bad", ""]


@pytest.mark.once
def test_what_ends_after_the_visitor_has_left_is_forgotten(page):
    page, texts = page

    def action():
        page.close()
        page.session.image = "a photo"

    asyncio.run(page._update(action))
    assert page.session.image is None
    assert texts == ["one moment ..."]


@pytest.mark.once
def test_examples_are_made_once_for_all_visitors():
    pytest.importorskip("nicegui")
    from keras_segattn.demo.page import THUMBNAIL, _picture, examples

    assert examples() is examples()
    (photo, _), *drawn = examples()
    assert len(drawn) == 3
    start, _, data = _picture(photo, THUMBNAIL).partition(",")
    assert start == "data:image/jpeg;base64"
    assert read_image(base64.b64decode(data)).shape == (144, 256, 3)
    assert read_image(base64.b64decode(_picture(photo).partition(",")[2])).shape == photo.shape


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--help"], "python -m keras_segattn.demo runs/camvid/model.keras"),
        (["missing.keras"], "error: There is no file missing.keras"),
    ],
)
def test_the_command(arguments, text, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo", *arguments])
    with pytest.raises(SystemExit) as stopped:
        __main__.main()
    assert text in capsys.readouterr().out + str(stopped.value)


def test_without_nicegui_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["demo"])
    monkeypatch.setitem(sys.modules, "nicegui", None)
    with pytest.raises(SystemExit, match=r"keras-segattn\[demo\]"):
        __main__.main()
