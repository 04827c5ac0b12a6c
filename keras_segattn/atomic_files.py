"""Writing a file whole: readers see the complete file, or what was there before."""

import contextlib
import os
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path):
    """Context manager that gives a temporary path beside `path` and renames it at the end.

    The temporary name starts with a dot, holds the number of the process and ends in the suffix of
    `path`, by which many writers choose the format. If the block raises, the temporary file or
    folder is removed and `path` stays as it was.

    Args:
        path: Path of a file, or of a folder that does not exist yet. Its parent must exist.

    Yields:
        The temporary `pathlib.Path`, for the block to write.

    Example:

    ```python
    with atomic_path("metrics.json") as temporary:
        temporary.write_text("{}")
    ```
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def _remove(path):
    if path.is_dir():
        import shutil

        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
