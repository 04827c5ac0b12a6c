"""File locks; the operating system releases them when their process ends."""

import contextlib
import errno
import os

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None

# On Windows, others cannot read a locked byte, so the byte lies beyond the content.
LOCKED_BYTE = 1 << 30
HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class HeldError(Exception):
    """Raised if another process holds a lock; the argument is the text in the file."""


def hold(path):
    """Creates a file, if needed, and locks it.

    Args:
        path: Path of the file, in an existing folder.

    Returns:
        Its descriptor, for `release`.

    Raises:
        HeldError: If another process, or another call, has locked it.
    """
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
        try:
            _lock(descriptor)
        except OSError as error:
            text = os.read(descriptor, 1 << 16).decode(errors="replace")
            os.close(descriptor)
            if error.errno not in HELD:
                raise
            raise HeldError(text) from None
        # The previous holder may have removed the file after it was opened here.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)


def release(descriptor, path):
    """Removes a file locked by `hold`."""
    if fcntl is not None:
        # The folder may have been removed.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.close(descriptor)
        return
    # Windows cannot remove an open file, neither here nor if the next process has opened it.
    _locking(descriptor, msvcrt.LK_UNLCK)
    os.close(descriptor)
    with contextlib.suppress(PermissionError):
        os.unlink(path)


def _lock(descriptor):
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        _locking(descriptor, msvcrt.LK_NBLCK)


def _locking(descriptor, mode):
    os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, mode, 1)
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
