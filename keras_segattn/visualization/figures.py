"""The base of all figures: matplotlib without a screen, and files written atomically."""

from keras_segattn.atomic_files import atomic_path


def new_figure(width, height):
    """Returns an empty matplotlib figure of that many inches, which belongs to no window."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Figures are drawn with matplotlib: pip install 'keras-segattn[visualization]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure, path, dpi):
    """Writes a figure whole, in the format of the suffix."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)


def class_patches(class_names, palette):
    """Returns the entries of a legend, one colored patch per class."""
    from matplotlib.patches import Patch

    return [
        Patch(color=[value / 255 for value in color], label=name)
        for name, color in zip(class_names, palette, strict=True)
    ]
