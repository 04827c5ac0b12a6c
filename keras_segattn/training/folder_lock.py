"""One process at a time in a folder."""

import contextlib
import json
import os
import socket
import sys
import time

try:
    import fcntl
except ImportError:  # Windows, where nothing keeps two processes apart
    fcntl = None

NAME = ".lock"


@contextlib.contextmanager
def locked(folder):
    """Holds a folder, made if need be, for this process until the end of the block.

    The operating system lets go of the lock when the process ends, however it ends. The file
    `.lock` says who holds it, and is removed at the end.

    Args:
        folder: The `pathlib.Path`.

    Raises:
        RuntimeError: If another process holds the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    path = folder / NAME
    file = _lock(path)
    try:
        holder = {"process": os.getpid(), "host": socket.gethostname()}
        holder.update(since=time.strftime("%Y-%m-%d %H:%M:%S"), command=" ".join(sys.argv))
        file.write(json.dumps(holder))
        file.flush()
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _lock(path):
    """Returns the open and locked file."""
    while True:
        file = open(path, "a+")  # noqa: SIM115, held until the block ends
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read()
            file.close()
            raise RuntimeError(
                f"{path.parent} is in use by {_describe(holder)}. Wait for it to end, stop it, or "
                "choose another `folder`."
            ) from None
        # The one before may have removed the file after it was opened here.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                return file
        file.close()


def _describe(holder):
    try:
        return "process {process} on {host} since {since}: {command}".format(**json.loads(holder))
    except (ValueError, KeyError, TypeError):  # It has not written it yet.
        return "another process"
