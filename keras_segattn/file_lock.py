"""Locks on files, which the operating system releases when their process ends."""

import contextlib
import errno
import os

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None

# Windows lets nobody else read a locked byte: it lies behind whatever the file holds.
LOCKED_BYTE = 1 << 30
HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class HeldError(Exception):
    """Raised where another process holds a lock; its argument is the text in the file."""


def hold(path):
    """Makes a file, if need be, and locks it.

    Args:
        path: Path of the file, in a folder that exists.

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
        # The holder before may have removed the file after it was opened here.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)


def release(descriptor, path):
    """Removes a file that `hold` has locked."""
    if fcntl is not None:
        # Somebody may have removed the folder.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.close(descriptor)
        return
    # Windows removes no open file, neither here nor where the next process has opened it.
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
