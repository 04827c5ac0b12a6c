"""Masks and their errors as images."""

import numpy as np

from keras_segattn.images import to_rgb

# Correct pixels stay unchanged; void pixels, which do not count, are dimmed.
WRONG, VOID = (230, 30, 30), (40, 40, 40)


def overlay_mask(image, mask, palette, alpha=0.6):
    """Draws the classes of a mask over an image; void pixels show the image.

    Args:
        image: uint8 array of shape `(height, width, bands)`; see `keras_segattn.images.to_rgb`.
        mask: Integer array of shape `(height, width)`; labels beyond `palette` are void. Or array
            of shape `(height, width, classes)`, 1 where a pixel has the label; a pixel gets the
            mean color of its labels.
        palette: Sequence of one RGB color per class.
        alpha: Opacity of the mask, from 0 to 1. Defaults to `0.6`.

    Returns:
        uint8 array of shape `(height, width, 3)`.

    Raises:
        ValueError: If the sizes of image and mask differ.

    Example:

    >>> image, mask = np.zeros((4, 6, 3), "uint8"), np.ones((4, 6), "uint8")
    >>> overlay_mask(image, mask, palette=[(0, 0, 0), (255, 0, 0)], alpha=1.0)[0, 0].tolist()
    [255, 0, 0]
    """
    mask = np.asarray(mask, dtype="int64")
    _check_sizes(image, mask)
    image = to_rgb(image)
    if mask.ndim == 3:
        there = (mask == 1).astype("float32")
        count = there.sum(axis=-1, keepdims=True)
        colors = there @ np.asarray(palette, dtype="float32") / np.maximum(count, 1)
        blended = (1 - alpha) * image.astype("float32") + alpha * colors
        return np.where(count > 0, blended, image).astype("uint8")
    known = (mask >= 0) & (mask < len(palette))
    colors = np.asarray(palette, dtype="float32")[np.where(known, mask, 0)]
    blended = (1 - alpha) * image.astype("float32") + alpha * colors
    return np.where(known[..., None], blended, image).astype("uint8")


def error_map(image, mask, prediction, classes, alpha=0.8):
    """Draws wrong pixels of a prediction over an image in red, and void pixels in dark gray.

    Args:
        image: uint8 array of shape `(height, width, bands)`.
        mask: Integer array of shape `(height, width)`, the true labels; labels of `classes` or more
            are void. Or array of shape `(height, width, classes)` of several labels per pixel: 0, 1
            or void. A pixel is wrong if one of its labels is wrong, and void if all of them are
            void.
        prediction: Integer array with the shape of the mask, the predicted labels.
        classes: Integer, the number of classes.
        alpha: Opacity of both colors, from 0 to 1. Defaults to `0.8`.

    Returns:
        uint8 array of shape `(height, width, 3)`.

    Raises:
        ValueError: If the sizes of image, mask and prediction differ.

    Example:

    >>> image = np.full((1, 3, 3), 200, "uint8")
    >>> error_map(image, [[0, 1, 255]], [[0, 0, 0]], classes=2, alpha=1.0)[0].tolist()
    [[200, 200, 200], [230, 30, 30], [40, 40, 40]]
    """
    mask, prediction = np.asarray(mask, dtype="int32"), np.asarray(prediction, dtype="int32")
    _check_sizes(image, mask)
    _check_sizes(image, prediction)
    several = mask.ndim == 3
    void = (mask < 0) | (mask >= (2 if several else classes))
    wrong = (mask != prediction) & ~void
    if several:
        void, wrong = void.all(axis=-1), wrong.any(axis=-1)
    right = 2
    kind = np.where(void, 1, np.where(wrong, 0, right))
    return overlay_mask(image, kind, palette=[WRONG, VOID], alpha=alpha)


def _check_sizes(image, mask):
    if image.shape[:2] != mask.shape[:2] or mask.ndim not in (2, 3):
        raise ValueError(
            "A mask must have the height and width of its image. Received: an image of shape "
            f"{image.shape} and a mask of shape {mask.shape}"
        )
