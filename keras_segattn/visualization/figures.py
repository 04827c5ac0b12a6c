"""Common base of all figures: matplotlib without a display, and atomic files."""

from keras_segattn.atomic_files import atomic_path


def new_figure(width, height):
    """Returns an empty matplotlib figure of this size in inches, without a window."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Figures require matplotlib: pip install 'keras-segattn[visualization]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure, path, dpi):
    """Writes a figure atomically, in the format of the suffix."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)


def class_patches(class_names, palette):
    """Returns legend entries, one colored patch per class."""
    from matplotlib.patches import Patch

    return [
        Patch(color=[value / 255 for value in color], label=name)
        for name, color in zip(class_names, palette, strict=True)
    ]
