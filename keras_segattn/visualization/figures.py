"""What all figures share: matplotlib without a screen, and files that are whole."""

import os
from pathlib import Path


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
    """Writes a figure so that `path` holds either the whole new file or what it held before."""
    path = Path(path)
    # The suffix must stay, for matplotlib tells the format by it.
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    figure.savefig(temporary, dpi=dpi)
    os.replace(temporary, path)


def class_patches(class_names, palette):
    """Returns the entries of a legend, one coloured patch per class."""
    from matplotlib.patches import Patch

    return [
        Patch(color=[value / 255 for value in color], label=name)
        for name, color in zip(class_names, palette, strict=True)
    ]
