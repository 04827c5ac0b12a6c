import itertools

import numpy as np
import pytest

from keras_segattn.data import ColorJitter, Compose, RandomScaleCropFlip


def coded(height, width):
    """An image whose color tells the label of its mask: blocks of 8 pixels, 4 labels."""
    rng = np.random.default_rng(5)
    blocks = rng.integers(0, 4, (height // 8, width // 8), dtype="uint8")
    mask = blocks.repeat(8, axis=0).repeat(8, axis=1)
    image = np.stack([mask * 60] * 3, axis=-1)
    return image, mask


@pytest.mark.parametrize("crop", [(32, 48), (64, 64), (16, 200), (128, 20)])
def test_image_and_mask_stay_together(crop):
    image, mask = coded(64, 96)
    augment = RandomScaleCropFlip(crop)
    for seed in range(30):
        out, labels = augment(image, mask, np.random.default_rng(seed))
        assert out.shape == (*crop, 3)
        assert labels.shape == crop
        assert out.dtype == labels.dtype == "uint8"
        void = labels == 255
        np.testing.assert_array_equal(out[void], np.broadcast_to(augment.fill, out[void].shape))
        # Away from the borders between labels, where bilinear resizing mixes colors.
        inner = ~void
        for shift in itertools.product(range(-2, 3), repeat=2):
            inner &= np.roll(labels, shift, (0, 1)) == labels
        inner[:2], inner[-2:], inner[:, :2], inner[:, -2:] = False, False, False, False
        difference = np.abs(out[inner].astype(int) - 60 * labels[inner][:, None].astype(int))
        assert difference.max(initial=0) <= 1


def test_without_scaling_every_pixel_is_that_of_the_source():
    """Pixel by pixel: position is coded in the color."""
    rows, columns = np.mgrid[:20, :30]
    image = np.stack([rows, columns, 0 * rows], axis=-1).astype("uint8")
    mask = ((rows * 7 + columns) % 11).astype("uint8")
    flips = set()
    for seed in range(20):
        out, labels = RandomScaleCropFlip((12, 18), (1.0, 1.0))(
            image, mask, np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(mask[out[..., 0], out[..., 1]], labels)
        flips.add(bool(out[0, 0, 1] > out[0, 1, 1]))
    assert flips == {True, False}


def test_scale_covers_the_range():
    image, mask = np.zeros((40, 40, 3), "uint8"), np.zeros((40, 40), "uint8")
    augment = RandomScaleCropFlip((100, 100), (0.5, 2.0))
    sides = [
        np.sqrt((augment(image, mask, np.random.default_rng(seed))[1] == 0).sum())
        for seed in range(200)
    ]
    assert 20 <= min(sides) < 24
    assert 76 < max(sides) <= 80


def test_refusals_name_the_value():
    with pytest.raises(ValueError, match=r"\(0, 8\)"):
        RandomScaleCropFlip((0, 8))
    with pytest.raises(ValueError, match=r"\(2.0, 0.5\)"):
        RandomScaleCropFlip((8, 8), (2.0, 0.5))
    with pytest.raises(ValueError, match=r"`scales` must be positive numbers. Received: \[\]"):
        RandomScaleCropFlip((8, 8), scales=[])
    with pytest.raises(ValueError, match="not both"):
        RandomScaleCropFlip((8, 8), scales=[1.0], short_sides=[8])
    with pytest.raises(ValueError, match=r"`rare_class_crops` must be from 0 to 1\. Received: 2"):
        RandomScaleCropFlip((8, 8), rare_class_crops=2)
    with pytest.raises(ValueError, match=r"`contrast` must be from 0 to 1\. Received: 2"):
        ColorJitter(contrast=2)


@pytest.mark.parametrize(
    ("choice", "sides"),
    [({"scales": (0.5, 1.5)}, {20, 60}), ({"short_sides": (30, 45, 80)}, {30, 45, 80})],
)
def test_scale_is_one_of_the_choices(choice, sides):
    image, mask = np.zeros((40, 60, 3), "uint8"), np.zeros((40, 60), "uint8")
    augment = RandomScaleCropFlip((150, 150), **choice)
    seen = {
        int((augment(image, mask, np.random.default_rng(seed))[1] == 0).any(axis=1).sum())
        for seed in range(30)
    }
    assert seen == sides


def test_crops_can_show_rare_classes_as_often_as_common_ones():
    """One pixel of class 1 in 60x60: nearly half of the crops have it, not a hundredth."""
    image, mask = np.zeros((60, 60, 3), "uint8"), np.zeros((60, 60), "uint8")
    mask[3, 57], mask[30, 30] = 1, 255

    def share(rare_class_crops):
        augment = RandomScaleCropFlip((6, 6), (1.0, 1.0), rare_class_crops=rare_class_crops)
        crops = [augment(image, mask, np.random.default_rng(seed))[1] for seed in range(300)]
        assert {crop.shape for crop in crops} == {(6, 6)}
        return np.mean([(crop == 1).any() for crop in crops])

    assert share(0.0) < 0.02
    assert share(1.0) == pytest.approx(0.5, abs=0.1)
    assert share(0.5) == pytest.approx(0.25, abs=0.1)


def test_rare_class_crops_of_images_that_are_void_or_smaller_than_the_crop():
    image, void = np.zeros((20, 90, 3), "uint8"), np.full((20, 90), 255, "uint8")
    augment = RandomScaleCropFlip((30, 40), (1.0, 1.0), rare_class_crops=1.0)
    assert (augment(image, void, np.random.default_rng(0))[1] == 255).all()
    mask = void.copy()
    mask[5, 80] = 4
    for seed in range(20):
        assert (augment(image, mask, np.random.default_rng(seed))[1] == 4).sum() == 1


def test_color_jitter_changes_each_of_the_three(rng):
    image, mask = rng.integers(60, 180, (8, 9, 3), dtype="uint8"), np.zeros((8, 9), "uint8")

    def changed(**strengths):
        none = {"brightness": 0, "contrast": 0, "saturation": 0}
        return ColorJitter(**{**none, **strengths})(image, mask, np.random.default_rng(3))

    np.testing.assert_array_equal(changed()[0], image)
    factor = np.random.default_rng(3).uniform(0.7, 1.3)
    brighter, same_mask = changed(brightness=0.3)
    np.testing.assert_allclose(brighter, image * factor, atol=1)
    assert same_mask is mask
    spread = {name: changed(**{name: 0.3})[0].astype(float) for name in ("contrast", "saturation")}
    assert abs(spread["contrast"].mean() - image.mean()) < 2
    assert spread["contrast"].std() != pytest.approx(image.std(), rel=0.01)
    gray = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(spread["saturation"] @ gray, image @ gray, atol=2)
    assert np.ptp(spread["saturation"], axis=-1).mean() != pytest.approx(
        np.ptp(image.astype(float), axis=-1).mean(), rel=0.01
    )


def test_compose_applies_in_turn():
    calls = []
    augment = Compose(
        [
            lambda image, mask, rng: calls.append("one") or (image + 1, mask),
            lambda image, mask, rng: calls.append("two") or (image * 2, mask),
        ]
    )
    image, _ = augment(np.ones(2), np.zeros(2), None)
    assert calls == ["one", "two"]
    assert image.tolist() == [4, 4]


@pytest.mark.parametrize("bands", [1, 2, 4, 12])
def test_bands_are_changed_like_colors(bands):
    """Each by itself: no band is alpha."""
    image, mask = coded(64, 96)
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (64, 96, bands), dtype="uint8")
    image[..., -1] = 0
    augment = RandomScaleCropFlip((100, 80))
    beyond = False
    for seed in range(5):
        out, labels = augment(image, mask, np.random.default_rng(seed))
        assert out.shape == (100, 80, bands)
        for band in range(bands):
            colored = np.repeat(image[..., band : band + 1], 3, axis=-1)
            alone, same = augment(colored, mask, np.random.default_rng(seed))
            np.testing.assert_array_equal(labels, same)
            inside = labels != 255
            np.testing.assert_array_equal(out[..., band][inside], alone[..., 0][inside])
        fill = augment.fill * 4 if bands > 2 else [115] * bands
        assert (out[~inside] == fill[:bands]).all()
        beyond |= not inside.all()
    assert beyond


@pytest.mark.parametrize("bands", [1, 2, 4, 12])
def test_color_jitter_changes_each_band_as_a_gray_image(bands, rng):
    image, mask = rng.integers(0, 256, (8, 9, bands), dtype="uint8"), np.zeros((8, 9), "uint8")
    strengths = {"brightness": 0.6, "contrast": 0.7}
    for seed in range(5):
        changed, _ = ColorJitter(**strengths)(image, mask, np.random.default_rng(seed))
        assert (changed.shape, changed.dtype) == (image.shape, "uint8")
        for band in range(bands):
            gray = np.repeat(image[..., band : band + 1], 3, axis=-1)
            expected, _ = ColorJitter(**strengths)(gray, mask, np.random.default_rng(seed))
            difference = changed[..., band].astype(int) - expected[..., 0]
            assert abs(difference).max() <= 2
