"""The figures are written completely and show their inputs."""

import sys

import numpy as np
import pytest

from keras_segattn import visualization
from keras_segattn.visualization import figures

PALETTE = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
CLASSES = ["a", "b", "c"]
pytestmark = pytest.mark.once


def pixels(path):
    image_module = pytest.importorskip("PIL.Image")
    with image_module.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def share_of(color, picture, tolerance=3):
    return (np.abs(picture.astype(int) - color).max(axis=-1) <= tolerance).mean()


def test_predictions(tmp_path, rng):
    images = [np.full((20, 30, 3), 255, "uint8") for _ in range(2)]
    masks = [np.zeros((20, 30), "uint8")] * 2
    wrong = [np.ones((20, 30), "uint8")] * 2
    path = tmp_path / "p.png"
    visualization.plot_predictions(path, images, masks, masks, CLASSES, PALETTE)
    three = pixels(path)
    assert share_of((255, 102, 102), three) > 0.4
    visualization.plot_predictions(path, images, masks, wrong, CLASSES, PALETTE, errors=True)
    four = pixels(path)
    assert four.shape[1] > 1.2 * three.shape[1]
    assert share_of((102, 255, 102), four) > 0.15
    assert share_of((235, 75, 75), four) > 0.15
    assert [file.name for file in tmp_path.iterdir()] == ["p.png"]


def test_networks_are_compared_side_by_side(tmp_path):
    images = [np.full((20, 30, 3), 255, "uint8")]
    masks = [np.zeros((20, 30), "uint8")]
    found = {name: [np.full((20, 30), i, "uint8")] for i, name in enumerate(["one", "two"], 1)}
    path = tmp_path / "c.png"
    visualization.plot_comparison(path, images, masks, found, CLASSES, PALETTE)
    picture = pixels(path)
    shares = [share_of(color, picture) for color in ((102, 255, 102), (102, 102, 255))]
    assert min(shares) > 0.1
    assert share_of((255, 102, 102), picture) > 0.1
    # From left to right: the networks in their order, then the label.
    middles = [
        np.nonzero((np.abs(picture.astype(int) - color).max(-1) <= 3).sum(0) > 20)[0].mean()
        for color in ((102, 255, 102), (102, 102, 255), (255, 102, 102))
    ]
    assert middles == sorted(middles)
    boxes = [[(5, 5, 15, 15)]]
    visualization.plot_comparison(path, images, masks, found, CLASSES, PALETTE, boxes)
    assert share_of((255, 0, 0), pixels(path)) > share_of((255, 0, 0), picture)
    with pytest.raises(ValueError, match="'two' must have one prediction for 2 images"):
        visualization.plot_comparison(path, images * 2, masks * 2, {"two": masks}, CLASSES, PALETTE)
    with pytest.raises(ValueError, match="`predictions` is empty"):
        visualization.plot_comparison(path, images, masks, {}, CLASSES, PALETTE)


def test_overlay_has_a_legend_of_the_classes_that_occur(tmp_path, monkeypatch):
    legends = []
    patches = figures.class_patches
    monkeypatch.setattr(
        "keras_segattn.visualization.mask_pictures.class_patches",
        lambda names, palette: legends.append((names, palette)) or patches(names, palette),
    )
    mask = np.array([[2, 2, 2, 0], [2, 2, 2, 255]])
    image = np.zeros((2, 4, 3), "uint8")
    visualization.plot_overlay(tmp_path / "o.png", image, mask, CLASSES, PALETTE)
    assert legends == [(["c 75.0%", "a 12.5%"], [PALETTE[2], PALETTE[0]])]
    assert share_of((0, 0, 153), pixels(tmp_path / "o.png")) > 0.5


def test_history(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss,val_loss\n0,2.0,3.0\n1,1.0,2.5\n")
    visualization.plot_history(tmp_path / "h.png", log)
    assert len(np.unique(pixels(tmp_path / "h.png").reshape(-1, 3), axis=0)) > 10
    narrow = pixels(tmp_path / "h.png").shape[1]
    log.write_text("epoch,iou_a,loss,val_iou_a,val_iou_b,val_loss\n0,0.1,2.0,nan,0.4,3.0\n")
    visualization.plot_history(tmp_path / "h.png", log)
    assert pixels(tmp_path / "h.png").shape[1] == 2 * narrow
    # As CSVLogger writes epochs without validation.
    log.write_text("epoch,loss,val_iou_a,val_loss\n0,2.0,NA,NA\n1,1.0,0.5,2.5\n2,0.9,NA,NA\n")
    visualization.plot_history(tmp_path / "h.png", log)
    log.write_text("epoch,loss,val_loss\n")
    with pytest.raises(ValueError, match="contains no epoch yet"):
        visualization.plot_history(tmp_path / "h.png", log)


def test_confusion_matrix(tmp_path):
    path = tmp_path / "m.png"
    visualization.plot_confusion_matrix(path, np.eye(3), CLASSES)
    diagonal = share_of((8, 48, 107), pixels(path), 10)
    visualization.plot_confusion_matrix(path, np.ones((3, 3)), CLASSES)
    assert diagonal > 0.05 > share_of((8, 48, 107), pixels(path), 10)
    # A class without a pixel is no division by zero.
    visualization.plot_confusion_matrix(path, np.diag([1, 1, 0]), CLASSES)
    # Recall, precision and IoU of several labels per pixel.
    visualization.plot_confusion_matrix(path, np.array([[[5, 0], [0, 5]]] * 3), CLASSES)
    assert share_of((8, 48, 107), pixels(path), 10) > 3 * diagonal / 2
    with pytest.raises(ValueError, match=r"shape \(3, 3\), .* Received: shape \(2, 2\)"):
        visualization.plot_confusion_matrix(path, np.eye(2), CLASSES)


def test_heat_map_is_bright_where_the_weights_are_high():
    image = np.full((8, 8, 3), 100, "uint8")
    weights = np.zeros((4, 4))
    weights[1, 2] = 0.01
    drawn = visualization.heat_map(image, weights, alpha=1.0).astype(int).sum(axis=-1)
    assert drawn[2:4, 4:6].min() > drawn[:, :2].max() + 100
    assert np.unravel_index(drawn.argmax(), (8, 8))[0] in (2, 3)
    np.testing.assert_array_equal(visualization.heat_map(image, np.ones((4, 4)), 0.0), image)
    with pytest.raises(ValueError, match=r"must be a map.*Received: shape \(4,\)"):
        visualization.heat_map(image, np.ones(4))


def test_attention_picture(tmp_path, rng):
    image = rng.integers(0, 256, (16, 24, 3), dtype="uint8")
    maps = {"map": rng.random((4, 6)), "vector": rng.random(10)}
    visualization.plot_attention(tmp_path / "a.png", image, maps, pixel=(8, 12))
    picture = pixels(tmp_path / "a.png")
    # The mark, once on the image and once on the map.
    assert 0 < share_of((0, 255, 0), picture) < 0.01
    visualization.plot_attention(tmp_path / "a.png", image, maps)
    assert share_of((0, 255, 0), pixels(tmp_path / "a.png")) == 0


def test_a_broken_write_leaves_the_file_of_before(tmp_path, monkeypatch):
    path = tmp_path / "m.png"
    visualization.plot_confusion_matrix(path, np.eye(3), CLASSES)
    before = path.read_bytes()

    def disk_full(self, path, dpi):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", disk_full)
    with pytest.raises(OSError, match="No space left"):
        visualization.plot_confusion_matrix(path, np.ones((3, 3)), CLASSES)
    assert path.read_bytes() == before


def test_without_matplotlib_the_error_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"keras-segattn\[visualization\]"):
        visualization.plot_confusion_matrix(tmp_path / "m.png", np.eye(3), CLASSES)
    with pytest.raises(ImportError, match=r"keras-segattn\[visualization\]"):
        visualization.heat_map(np.zeros((8, 8, 3), "uint8"), np.ones((2, 2)))
