"""Writes an artifact atomically; it may replace only an older artifact."""

import contextlib
import os
import shutil

from keras_segattn.atomic_files import sync
from keras_segattn.file_lock import HeldError, hold, release

LOCK, PREVIOUS = "lock", "previous"


def check_replaceable(path, is_artifact):
    """Raises unless an artifact can be written to a path without losing other data.

    Args:
        path: Path of the file or folder to write.
        is_artifact: Callable from an existing path; returns whether `export_model` wrote all of it
            and may replace it.

    Raises:
        ValueError: If the path names no file or folder, is a symbolic link, or contains something
            that is not an artifact.
    """
    if path.name in ("", ".."):
        raise ValueError(
            f"The path of an artifact must end in its name. Received: path={str(path)!r}"
        )
    if path.is_symlink():
        raise ValueError(
            f"{path} is a symbolic link to {path.resolve()}: pass that path, or remove the link."
        )
    if not path.exists() or _is_empty(path) or is_artifact(path):
        return
    kind = "a folder" if path.is_dir() else "a file"
    raise ValueError(
        f"{path} is {kind} that `export_model` did not write, or contains other files. It is not "
        "replaced: pass another path, or remove it first."
    )


@contextlib.contextmanager
def staging_folder(path):
    """Context manager that yields a hidden folder beside `path` for preparing an artifact.

    The folder is `.NAME.export`. One process at a time holds it. If a process was killed, the next
    process restores the artifact that was moved away from `path` and clears the folder. A link or
    folder of this name that no export created is left untouched.

    Args:
        path: Path of the artifact. Its parent must exist.

    Yields:
        The `pathlib.Path` of the folder; it is removed at the end.

    Raises:
        RuntimeError: If another process exports to the same path.
        ValueError: If the name is taken by something that no export created.
    """
    folder = path.with_name(f".{path.name}.export")
    lock = _hold(folder, path)
    try:
        _clear(folder, path)
        yield folder
    finally:
        _clear(folder, path)
        release(lock, folder / LOCK)
        # From here on, the next process may have files in it.
        with contextlib.suppress(OSError):
            folder.rmdir()


def replace(source, path, folder):
    """Moves an artifact from a staging folder to its path, replacing an older one.

    A folder cannot replace another folder in one step, so the older one is moved into the staging
    folder.
    """
    for entry in (*source.rglob("*"), source):
        sync(entry)
    if path.is_dir():
        os.replace(path, folder / PREVIOUS)
    os.replace(source, path)
    sync(path.parent)


def _is_empty(path):
    return not any(path.iterdir()) if path.is_dir() else path.stat().st_size == 0


def _hold(folder, path):
    """Returns the descriptor of the folder's lock, which the process holds until it ends."""
    while True:
        _check_own(folder)
        folder.mkdir(exist_ok=True)
        try:
            return hold(folder / LOCK)
        except FileNotFoundError:  # Another process has just removed the folder.
            continue
        except HeldError:
            raise RuntimeError(
                f"Another process is exporting to {path}: wait for it, or pass another path."
            ) from None


def _check_own(folder):
    """Raises a ValueError unless the folder is missing, empty, or has the lock of an export."""
    if not os.path.lexists(folder):
        return
    if folder.is_dir() and not folder.is_symlink():
        try:
            entries = {entry.name: entry for entry in os.scandir(folder)}
            if not entries or (LOCK in entries and _is_lock(entries[LOCK])):
                return
        except FileNotFoundError:  # Another process has just removed it.
            return
    raise ValueError(
        f"{folder}, where the export is prepared, exists but does not belong to an export, so it "
        "is not cleared. Move it away, or pass another path."
    )


def _is_lock(entry):
    # `hold` leaves the file empty.
    return entry.is_file(follow_symlinks=False) and not entry.stat().st_size


def _clear(folder, path):
    previous = folder / PREVIOUS
    if previous.exists() and not path.exists():
        os.replace(previous, path)
    for entry in folder.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
