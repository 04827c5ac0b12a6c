"""Random color changes."""

import numpy as np


class ColorJitter:
    """Random brightness, contrast and saturation of an image; the mask stays unchanged.

    Each of the three is multiplied by its own factor, drawn uniformly from `1 - strength` to
    `1 + strength`, as in the training code of STDC-Seg and AttaNet before scaling and cropping.

    An image may have any number of bands. Saturation changes only images of three bands, which
    count as RGB. In all others, contrast changes each band around its own mean.

    Args:
        brightness: Strength, from 0 to 1. Defaults to `0.5`.
        contrast: Strength, from 0 to 1. Defaults to `0.5`.
        saturation: Strength, from 0 to 1. Defaults to `0.5`.

    Raises:
        ValueError: If a strength is not from 0 to 1.

    Example:

    >>> image, mask = np.full((4, 4, 3), 100, "uint8"), np.zeros((4, 4), "uint8")
    >>> image, mask = ColorJitter()(image, mask, np.random.default_rng(0))
    >>> image.shape, image.dtype.name
    ((4, 4, 3), 'uint8')
    """

    takes_weights = True

    def __init__(self, brightness=0.5, contrast=0.5, saturation=0.5):
        strengths = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        for name, strength in strengths.items():
            if not 0 <= strength <= 1:
                raise ValueError(f"`{name}` must be from 0 to 1. Received: {strength}")
        self.strengths = strengths

    def __call__(self, image, mask, rng, weights=None):
        """Returns the changed image, and the unchanged mask and weights, if any.

        Args:
            image: uint8 array of shape `(height, width, bands)`.
            mask: uint8 array of shape `(height, width)`.
            rng: A `numpy.random.Generator`; the same state gives the same result.
            weights: float32 array of shape `(height, width)`, or `None`. Defaults to `None`.
        """
        factors = {
            name: rng.uniform(1 - strength, 1 + strength)
            for name, strength in self.strengths.items()
        }
        changed = _change_colors if image.shape[2:] == (3,) else _change_bands
        changed = changed(image, **factors)
        return (changed, mask) if weights is None else (changed, mask, weights)


def _change_colors(image, brightness, contrast, saturation):
    from PIL import Image, ImageEnhance

    changed = ImageEnhance.Brightness(Image.fromarray(image)).enhance(brightness)
    changed = ImageEnhance.Contrast(changed).enhance(contrast)
    return np.asarray(ImageEnhance.Color(changed).enhance(saturation))


def _change_bands(image, brightness, contrast, saturation):
    """Returns bands that are not RGB, changed as Pillow changes a gray image; no saturation."""
    brighter = (image * np.float32(brightness)).clip(0, 255)
    mean = brighter.mean(axis=(0, 1)).round()
    return (mean + (brighter - mean) * np.float32(contrast)).clip(0, 255).astype("uint8")
