"""Colours for any number of classes."""


def colormap(classes):
    """Returns the colours of PASCAL VOC's map, all different up to 256 classes.

    Bit `k` of the three colour channels, from the highest down, comes from the three lowest bits
    of the class, then from the next three, and so on.

    Args:
        classes: Integer, the number of classes.

    Returns:
        Tuple of one RGB tuple per class.

    Example:

    >>> colormap(4)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))

    Reference:
        "The PASCAL Visual Object Classes Challenge" (Everingham et al., 2010), development kit.
    """
    return tuple(
        tuple(
            sum((label >> (3 * step + channel) & 1) << (7 - step) for step in range(8))
            for channel in range(3)
        )
        for label in range(classes)
    )
