"""One process at a time in a folder."""

import contextlib
import json
import os
import socket
import sys
import time

from keras_segattn.atomic_files import make_folder
from keras_segattn.file_lock import HeldError, hold, release

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
    make_folder(folder)
    path = folder / NAME
    try:
        lock = hold(path)
    except HeldError as error:
        raise RuntimeError(
            f"{folder} is in use by {_describe(str(error))}. Wait for it to end, stop it, or "
            "choose another `folder`."
        ) from None
    try:
        holder = {"process": os.getpid(), "host": socket.gethostname()}
        holder.update(since=time.strftime("%Y-%m-%d %H:%M:%S"), command=" ".join(sys.argv))
        os.ftruncate(lock, 0)
        os.write(lock, json.dumps(holder).encode())
        yield
    finally:
        release(lock, path)


def _describe(holder):
    try:
        return "process {process} on {host} since {since}: {command}".format(**json.loads(holder))
    except (ValueError, KeyError, TypeError):  # It has not written it yet.
        return "another process"
