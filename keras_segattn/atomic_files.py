"""Atomic writing: readers see the complete new file or the complete old one."""

import contextlib
import json
import os
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path, writer="part"):
    """Gives a temporary path beside `path`, which becomes `path` at the end of the block.

    The temporary name is `.STEM.WRITER.SUFFIX`: it keeps the suffix, by which many writers choose
    the format. If the block raises, the temporary file is removed and `path` stays as it was. A
    process that is killed leaves the temporary file; the next writer of that name replaces it.

    Args:
        path: Path of a file. Its parent must exist.
        writer: String that tells apart writers of the same path at the same time, such as the
            number of the process. Defaults to `"part"`, for one writer.

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
        # Else a power failure may keep the new name, but not yet its content.
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync(path):
    """Waits until the content of a file, or the names in a folder, are on the disk."""
    is_folder = os.path.isdir(path)
    if is_folder and os.name == "nt":
        return  # Windows opens no folder.
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
    """Makes a folder and those above it, if need be, and waits until they are on the disk."""
    path = Path(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def write_text(path, text):
    """Writes a text file whole, in UTF-8 whatever the machine's own encoding is."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Writes a value as JSON, whole; paths in it become strings."""
    write_text(path, json.dumps(value, indent=2, default=os.fspath) + "\n")
