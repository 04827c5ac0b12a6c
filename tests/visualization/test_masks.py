import numpy as np
import pytest

from keras_segattn.visualization import error_map, overlay_mask

PALETTE = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_every_class_has_its_color_and_void_shows_the_image():
    image = np.full((1, 4, 3), 100, "uint8")
    mask = np.array([[0, 1, 2, 255]])
    drawn = overlay_mask(image, mask, PALETTE, alpha=1.0)
    np.testing.assert_array_equal(drawn[0], [*PALETTE, (100, 100, 100)])
    blended = overlay_mask(image, mask, PALETTE, alpha=0.5)
    np.testing.assert_allclose(blended[0, 0], (177, 50, 50), atol=1)


def test_errors_are_red_void_is_dark_and_right_pixels_stay():
    image = np.arange(5 * 3, dtype="uint8").reshape(1, 5, 3)
    mask = np.array([[0, 1, 2, 255, 3]])
    prediction = np.array([[0, 2, 2, 1, 1]])
    drawn = error_map(image, mask, prediction, classes=3, alpha=1.0)[0]
    red, dark = (230, 30, 30), (40, 40, 40)
    np.testing.assert_array_equal(drawn, [image[0, 0], red, image[0, 2], dark, dark])


@pytest.mark.once
def test_refuses_a_mask_of_another_size():
    image, mask = np.zeros((4, 6, 3), "uint8"), np.zeros((6, 4), "uint8")
    for draw in (
        lambda: overlay_mask(image, mask, PALETTE),
        lambda: error_map(image, mask.T, mask, classes=3),
    ):
        with pytest.raises(ValueError, match=r"shape \(4, 6, 3\) and a mask of shape \(6, 4\)"):
            draw()
