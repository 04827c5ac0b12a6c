"""The size at which a network sees an image, where sides have bounds."""

from keras_segattn.arguments import check_at_least


def fitted_size(height, width, short_side=None, long_side=None):
    """Returns the height and width of an image scaled to its bounds, with about the same shape.

    Args:
        height: Integer, the height of the image.
        width: Integer, its width.
        short_side: Integer that the shorter side becomes. Defaults to `None`, the side itself.
        long_side: Integer, the most that the longer side may have then. Defaults to `None`.

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
