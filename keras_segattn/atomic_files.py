"""Atomic writing: readers see the complete new file or the complete old one."""

import contextlib
import json
import os
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path, writer="part"):
    """Yields a temporary path beside `path` and renames it to `path` at the end of the block.

    The temporary name is `.STEM.WRITER.SUFFIX`. It keeps the suffix, because many writers choose
    the format by suffix. If the block raises, the temporary file is removed and `path` stays
    unchanged. A killed process leaves the temporary file; the next writer with that name replaces
    it.

    Args:
        path: Path of a file. Its parent must exist.
        writer: String that distinguishes concurrent writers of the same path, such as the process
            number. Defaults to `"part"`, for one writer.

    Yields:
        The temporary `pathlib.Path`, for the block to write.

    Example:

    ```python
    with atomic_path("picture.png") as temporary:
        image.save(temporary)
    ```
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{writer}{path.suffix}")
    try:
        yield temporary
        # Otherwise a power failure may keep the new name without its content.
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync(path):
    """Waits until the content of a file, or the names in a folder, are on disk."""
    is_folder = os.path.isdir(path)
    if is_folder and os.name == "nt":
        return  # Windows cannot open folders.
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some network file systems cannot sync a folder.
        if not is_folder:
            raise
    finally:
        os.close(descriptor)


def make_folder(path):
    """Creates a folder and its parents, if needed, and waits until they are on disk."""
    path = Path(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def write_text(path, text):
    """Writes a text file atomically, in UTF-8 on every machine."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Writes a value as JSON, atomically; paths in it become strings."""
    write_text(path, json.dumps(value, indent=2, default=os.fspath) + "\n")
