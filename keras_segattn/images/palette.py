"""Colors for any number of classes."""

import operator


def default_palette(classes):
    """Returns one RGB color per class: PASCAL VOC's distinct colors, black first.

    Args:
        classes: Integer, the number of classes.

    Example:

    >>> default_palette(3)
    [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    """
    palette = []
    for label in range(classes):
        color = [0, 0, 0]
        # Each three bits of the label set one bit of red, green and blue, from the highest bit
        # down.
        for i in range(8):
            for channel in range(3):
                color[channel] |= (label >> (3 * i + channel) & 1) << (7 - i)
        palette.append(tuple(color))
    return palette


def to_palette(colors):
    """Returns colors as a tuple of RGB tuples.

    Args:
        colors: Sequence of colors, each three integers from 0 to 255, or text such as `"#ff8000"`.

    Raises:
        ValueError: If a color is invalid; the message names it.

    Example:

    >>> to_palette(["#ff8000", [0, 0, 255]])
    ((255, 128, 0), (0, 0, 255))
    """
    return tuple(_to_color(color) for color in colors)


def _to_color(color):
    try:
        if isinstance(color, str):
            values = list(bytes.fromhex(color.removeprefix("#")))
        else:
            values = [operator.index(value) for value in color]
        if len(values) == 3 and all(0 <= value <= 255 for value in values):
            return tuple(values)
    except (TypeError, ValueError):
        pass
    raise ValueError(
        "A color of a palette is three integers from 0 to 255, or text such as '#ff8000', without "
        f"alpha. Received: {color!r}"
    )
