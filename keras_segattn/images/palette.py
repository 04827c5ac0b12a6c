"""Colors for any number of classes."""


def default_palette(classes):
    """Returns one RGB color per class, those of PASCAL VOC: far apart, black first.

    Args:
        classes: Integer, the number of classes, up to 256.

    Example:

    >>> default_palette(3)
    [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    """
    palette = []
    for label in range(classes):
        color = [0, 0, 0]
        # Three bits of the label at a time go to red, green and blue, from the highest bit down.
        for i in range(8):
            for channel in range(3):
                color[channel] |= (label >> (3 * i + channel) & 1) << (7 - i)
        palette.append(tuple(color))
    return palette
