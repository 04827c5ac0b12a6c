"""Several labels per pixel in one image: bit `i` of a pixel is class `i`."""

import numpy as np

from keras_segattn.wording import counted

MOST_CLASSES = 16


def pack_labels(class_map):
    """Packs the labels of a multilabel class map into the bits of one number per pixel.

    Args:
        class_map: Array `(height, width, classes)` of 0 and 1, with at most 16 classes.

    Returns:
        Array `(height, width)`, uint8, or uint16 above 8 classes: the sum of `2**i` over the labels
        `i` of a pixel. PNG files support both types.

    Raises:
        ValueError: If there are more than 16 classes, or other values than 0 and 1.

    Example:

    >>> pack_labels(np.array([[[0, 0, 0], [1, 0, 0], [1, 0, 1]]])).tolist()
    [[0, 1, 5]]
    """
    class_map = np.asarray(class_map)
    if class_map.ndim != 3 or not ((class_map == 0) | (class_map == 1)).all():
        raise ValueError(
            "Labels to pack must be 0 and 1 of shape (height, width, classes). Received: shape "
            f"{class_map.shape}"
        )
    classes = class_map.shape[-1]
    if classes > MOST_CLASSES:
        raise ValueError(
            "A PNG file has 16 bits for several labels per pixel. Received: "
            f"{counted(classes, 'class')}. Save the class map of `segment` with "
            "`numpy.savez_compressed`."
        )
    dtype = "uint8" if classes <= 8 else "uint16"
    bits = (1 << np.arange(classes)).astype(dtype)
    return (class_map.astype(dtype) * bits).sum(axis=-1, dtype=dtype)


def unpack_labels(pixels, classes):
    """Inverts `pack_labels`: returns uint8 labels 0 and 1, `(height, width, classes)`.

    Args:
        pixels: Integer array `(height, width)`.
        classes: Integer, the number of classes.

    Raises:
        ValueError: If a pixel has a bit of a class beyond `classes`.

    Example:

    >>> unpack_labels(np.array([[0, 1, 5]]), classes=3)[0].tolist()
    [[0, 0, 0], [1, 0, 0], [1, 0, 1]]
    """
    pixels = np.asarray(pixels, dtype="int64")
    if pixels.min() < 0 or pixels.max() >= 1 << classes:
        raise ValueError(
            f"The bits of a pixel must be for {counted(classes, 'class')}, a number "
            f"below {1 << classes}. Received: {pixels.min()} to {pixels.max()}"
        )
    return ((pixels[..., None] >> np.arange(classes)) & 1).astype("uint8")


def palette_of_bits(palette):
    """Returns the color of each value of `pack_labels`, for up to 8 classes.

    The color is the mean color of the labels, or black without labels.

    Args:
        palette: Sequence of one RGB color per class.
    """
    count = len(palette)
    labels = unpack_labels(np.arange(1 << count)[None], count)[0].astype("float64")
    colors = labels @ np.asarray(palette, dtype="float64")
    return (colors / np.maximum(labels.sum(axis=-1, keepdims=True), 1)).astype("uint8")
