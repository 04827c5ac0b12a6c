"""Value ranges for images with more than 8 bits: the values that become 0 and 255."""

import warnings

import numpy as np

# Number of pixels counted per image.
COUNTED_PIXELS = 65536
# Fraction of the values excluded at each end of a counted range: dead and hot pixels.
LEFT_OUT = 0.001


def to_value_range(value):
    """Returns a value range as a tuple `(low, high)`, or as a tuple of one pair per band.

    Args:
        value: Pair of numbers, or sequence of one pair per band, or `None`.

    Raises:
        ValueError: If `value` has another form, or `low` is not below `high`.

    Example:

    >>> to_value_range([0, 4095])
    (0.0, 4095.0)
    """
    if value is None:
        return None
    try:
        array = np.array(value, dtype="float64")
    except (TypeError, ValueError):
        array = np.zeros(0)
    pairs = array.ndim in (1, 2) and array.shape[-1] == 2 and len(array)
    if not pairs or not np.isfinite(array).all() or not (array[..., 0] < array[..., 1]).all():
        raise ValueError(
            "`value_range` must be (low, high), such as (0, 4095) for 12 bits, or a sequence of "
            f"one pair per band. Received: {value!r}"
        )
    return tuple(array.tolist()) if array.ndim == 1 else tuple(map(tuple, array.tolist()))


def scale_to_range(image, value_range):
    """Returns an image as float32 from 0 to 255, clipped to a value range.

    Args:
        image: Array `(height, width, bands)` of numbers.
        value_range: A result of `to_value_range`.

    Raises:
        ValueError: If the number of bands differs or values are not finite.
    """
    array = np.array(value_range, dtype="float32")
    if array.ndim == 2 and len(array) != image.shape[-1]:
        raise ValueError(
            f"The value range is for {len(array)} bands. Received an image with "
            f"{image.shape[-1]}, of shape {image.shape}."
        )
    if image.dtype == "uint8" and array[..., 1].max() > 255:
        warnings.warn(
            f"An 8-bit image has values up to 255, but its value range goes to "
            f"{array[..., 1].max():g}: the image becomes dark. If its file contains more bits, "
            "save it as a "
            "PNG, TIFF or .npy file, and pass its path; Pillow's images and other formats have 8 "
            "bits per color.",
            stacklevel=3,
        )
    pixels = image.astype("float32")
    if image.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ValueError(
            "The image contains NaN or infinite values. Replace them, for example with the lowest "
            "value, and make their pixels void in the mask."
        )
    pixels -= array[..., 0]
    pixels *= 255 / (array[..., 1] - array[..., 0])
    return np.clip(pixels, 0, 255, out=pixels)


def count_value_range(images):
    """Returns the value range of images, ignoring the lowest and highest thousandth of the values.

    Images with up to three bands get one range, which keeps colors; others get one range per band.

    Args:
        images: Iterable of arrays `(height, width)` or `(height, width, bands)`.

    Raises:
        ValueError: If there are no images, their bands differ, or all values are equal.

    Example:

    >>> count_value_range([np.arange(4096, dtype="uint16").reshape(64, 64)])
    (4.0, 4091.0)
    """
    samples = []
    for image in images:
        pixels = image.reshape(image.shape[0] * image.shape[1], -1)
        samples.append(pixels[:: max(1, len(pixels) // COUNTED_PIXELS)])
    if len({sample.shape[1] for sample in samples}) != 1:
        bands = sorted({sample.shape[1] for sample in samples})
        raise ValueError(f"A value range needs images with equal bands. Received bands: {bands}")
    values = np.concatenate(samples)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values).all(axis=1)]
    if values.shape[1] <= 3:
        values = values.reshape(-1, 1)
    ends = np.quantile(values, (LEFT_OUT, 1 - LEFT_OUT), axis=0, method="nearest")
    found = ends.T.astype("float64").tolist()
    return to_value_range(found[0] if len(found) == 1 else found)
