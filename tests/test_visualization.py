import numpy as np
import pytest

from keras_segattn.visualization import overlay_mask, plot_history, plot_predictions

PALETTE = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_every_class_has_its_color_and_void_shows_the_image():
    image = np.full((1, 4, 3), 100, "uint8")
    mask = np.array([[0, 1, 2, 255]])
    drawn = overlay_mask(image, mask, PALETTE, alpha=1.0)
    np.testing.assert_array_equal(drawn[0], [*PALETTE, (100, 100, 100)])
    blended = overlay_mask(image, mask, PALETTE, alpha=0.5)
    np.testing.assert_allclose(blended[0, 0], (177, 50, 50), atol=1)


def test_pictures_are_written(tmp_path, rng):
    image_module = pytest.importorskip("PIL.Image")
    images = [rng.integers(0, 256, (20, 30, 3), dtype="uint8") for _ in range(2)]
    masks = [rng.integers(0, 3, (20, 30)) for _ in range(2)]
    plot_predictions(tmp_path / "p.png", images, masks, masks, ["a", "b", "c"], PALETTE)
    (tmp_path / "log.csv").write_text("epoch,loss,val_loss\n0,2.0,3.0\n1,1.0,2.5\n")
    plot_history(tmp_path / "log.csv", tmp_path / "h.png")
    for name in ("p.png", "h.png"):
        with image_module.open(tmp_path / name) as picture:
            assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 10
