"""Random color changes."""

import numpy as np


class ColorJitter:
    """Random brightness, contrast and saturation of an image; the mask stays unchanged.

    Each of the three is multiplied by its own factor, drawn uniformly from `1 - strength` to
    `1 + strength`, as in the training code of STDC-Seg and AttaNet before scaling and cropping.

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
            image: uint8 array of shape `(height, width, 3)`.
            mask: uint8 array of shape `(height, width)`.
            rng: A `numpy.random.Generator`; the same state gives the same result.
            weights: float32 array of shape `(height, width)`, or `None`. Defaults to `None`.
        """
        from PIL import Image, ImageEnhance

        if image.shape[2:] != (3,):
            raise ValueError(
                "ColorJitter changes RGB images (height, width, 3): brightness, contrast and "
                "saturation have no meaning for other bands. Omit it, or set "
                f"`color_jitter=0.0` in a recipe. Received an image of shape {image.shape}"
            )
        enhancers = {
            "brightness": ImageEnhance.Brightness,
            "contrast": ImageEnhance.Contrast,
            "saturation": ImageEnhance.Color,
        }
        changed = Image.fromarray(image)
        for name, strength in self.strengths.items():
            factor = rng.uniform(1 - strength, 1 + strength)
            changed = enhancers[name](changed).enhance(factor)
        changed = np.asarray(changed)
        return (changed, mask) if weights is None else (changed, mask, weights)
