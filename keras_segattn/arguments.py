"""Checks of arguments, with the messages that they share."""


def check_choice(name, value, choices):
    """Raises a ValueError unless an argument has one of its values.

    Args:
        name: Name of the argument.
        value: Its value.
        choices: Collection of the values that it may have.
    """
    if value not in tuple(choices):
        raise ValueError(f"`{name}` must be one of {tuple(choices)}. Received: {value!r}")


def check_at_least(name, value, least):
    """Raises a ValueError if a number is below the least one that it may be."""
    if not value >= least:
        raise ValueError(f"`{name}` must be at least {least}. Received: {value}")


def check_pixel(pixel, size):
    """Raises a ValueError unless a pixel is `(row, column)` inside a map or image.

    Args:
        pixel: The pixel.
        size: Tuple `(height, width)`.
    """
    if pixel is None:
        raise ValueError("Every pixel has attention of its own here: give `pixel=(row, column)`.")
    if len(pixel) != 2 or not all(0 <= p < side for p, side in zip(pixel, size, strict=True)):
        raise ValueError(
            f"`pixel` must be a (row, column) inside {tuple(size)}. Received: {tuple(pixel)}"
        )
