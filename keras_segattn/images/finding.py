"""Finds image files."""

import os
from pathlib import Path

from keras_segattn.images.formats import IMAGE_SUFFIXES


def find_images(folder, exclude=None):
    """Returns the image files in a folder and its subfolders, sorted.

    Links to folders are followed. Names that start with a dot are skipped: editors, notebooks and
    macOS use them for copies, checkpoints and icons.

    Args:
        folder: Path of the folder.
        exclude: Path of a folder to skip with all its contents. Defaults to `None`.

    Returns:
        List of paths that start with `folder`, empty if it holds no image files.

    Raises:
        FileNotFoundError: If the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}")
    excluded = None if exclude is None else os.path.realpath(exclude)
    return sorted(_walk(folder, excluded, {os.path.realpath(folder)}))


def read_list(path):
    """Returns the lines of a text file that lists files, as pairs of line number and text.

    Blank lines, lines that start with `#` and a byte-order mark are skipped.

    Raises:
        ValueError: If the file is not text in UTF-8.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}; save it as UTF-8.") from error
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _walk(folder, excluded, above):
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            real = os.path.realpath(entry.path)
            # A link may lead back to a parent folder of the walk.
            if real != excluded and real not in above:
                yield from _walk(entry.path, excluded, above | {real})
        elif entry.name.lower().endswith(IMAGE_SUFFIXES):
            yield Path(entry.path)
