"""Restricts a folder to one process at a time."""

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
    """Locks a folder, created if needed, for this process until the end of the block.

    The operating system releases the lock when the process ends for any reason. The file `.lock`
    names the holder and is removed at the end.

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
    except (ValueError, KeyError, TypeError):  # The holder has not written it yet.
        return "another process"
