"""The size at which a network sees an image, given bounds for its sides."""

from keras_segattn.arguments import check_at_least


def fitted_size(height, width, short_side=None, long_side=None):
    """Returns the height and width of an image scaled to bounds, with about the same aspect ratio.

    Args:
        height: Integer, the height of the image.
        width: Integer, its width.
        short_side: Integer, the new length of the shorter side. Defaults to `None`, no change.
        long_side: Integer, the maximum length of the longer side after that. Defaults to `None`.

    Raises:
        ValueError: If a bound is below 1.
    """
    scale = 1.0
    if short_side is not None:
        check_at_least("short_side", short_side, 1)
        scale = short_side / min(height, width)
    if long_side is not None:
        check_at_least("long_side", long_side, 1)
        scale = min(scale, long_side / max(height, width))
    return max(round(height * scale), 1), max(round(width * scale), 1)
