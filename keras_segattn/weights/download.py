"""Downloads a file once, into a cache."""

import errno
import hashlib
import http.client
import os
import stat
import tempfile
import time
import urllib.request
from pathlib import Path

import keras

from keras_segattn.atomic_files import atomic_path

DAY = 24 * 60 * 60
# Maximum seconds without data from the server, and for the whole file.
SILENCE, LONGEST = 30, 60 * 60
BLOCK = 1 << 16
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def fetch(url, sha256, most_bytes):
    """Returns the path of a file in Keras's cache, and downloads the file if needed.

    The cache is `models` in `KERAS_HOME` or `~/.keras`. If it is not writable, the cache is a
    folder in the system's temporary folder that only this user can read and write.

    Args:
        url: String, the address of the file.
        sha256: String, the file's hash, or its first digits.
        most_bytes: Integer, the maximum size; a larger download is aborted.

    Raises:
        ConnectionError: If the download fails: no answer, an error, an incomplete file, 30 seconds
            without data, or more than an hour in total.
        OSError: If the disk is full, or no cache folder is writable.
        ValueError: If the file is larger than `most_bytes` or has another hash.

    In all these cases, nothing is left in the cache.
    """
    name, folders = url.rpartition("/")[2], _cache_folders()
    path = folders[0] / name
    # A read-only cache may contain the file.
    if path.is_file() and has_hash(path, sha256):
        return path
    path = _writable(*folders) / name
    if path.is_file() and has_hash(path, sha256):
        return path
    _remove_old_parts(path)
    # Several processes may download at the same time; the last one to finish wins.
    try:
        with atomic_path(path, writer=f"{os.getpid()}.part") as part:
            _download(url, part, most_bytes, path)
            if not has_hash(part, sha256):
                raise ValueError(
                    f"The file from {url} does not have the hash {sha256} and was not kept. Try "
                    "again. If the error persists, the address or the network serves another file."
                )
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise OSError(
            error.errno,
            f"{os.strerror(error.errno)}: {url} needs up to {most_bytes / 1e6:.0f} MB. Free some "
            "space, or set KERAS_HOME to a folder on another disk",
            str(path.parent),
        ) from None
    return path


def has_hash(path, sha256):
    """Returns whether the SHA-256 of a file starts with these digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest().startswith(sha256)


def _download(url, part, most_bytes, path):
    with open(part, "wb") as file:
        for block in _blocks(url, most_bytes, path):
            file.write(block)


def _blocks(url, most_bytes, path):
    """Yields the content of an address; raises if it is too large or takes too long."""
    start, received = time.monotonic(), 0
    try:
        with urllib.request.urlopen(url, timeout=SILENCE) as answer:
            length = answer.length
            progress = keras.utils.Progbar(length, unit_name="byte")
            # `read` would wait for a whole block, however slowly its bytes arrive.
            while block := answer.read1(BLOCK):
                received += len(block)
                if max(received, length or 0) > most_bytes:
                    raise ValueError(
                        f"The file from {url} is larger than the maximum of {most_bytes / 1e6:g} "
                        "MB and was not kept."
                    )
                if time.monotonic() - start > LONGEST:
                    raise TimeoutError(f"it took more than {LONGEST / 60:g} minutes")
                progress.add(len(block))
                yield block
        if received < (length or 0):
            raise ConnectionError(f"it ended after {received} of {length} bytes")
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(
            f"{url} could not be downloaded: {error}. Without a connection, download it elsewhere "
            f"and put it at {path}, or pass its path instead of 'imagenet'."
        ) from None


def _cache_folders():
    """Returns Keras's cache folder, and a folder for users who cannot write there."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return home / "models", Path(tempfile.gettempdir()) / f"keras-segattn-{user}"


def _writable(first, second):
    """Returns the first folder if this user can write to it, otherwise the second."""
    try:
        first.mkdir(parents=True, exist_ok=True)
        if os.access(first, os.W_OK):
            return first
    except OSError as error:
        if error.errno in NO_SPACE:
            raise
    # Other users can write to the parent folder, so their files are not trusted.
    second.mkdir(mode=0o700, exist_ok=True)
    status = second.lstat()
    private = not hasattr(os, "getuid") or (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.getuid()
        and not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    )
    if not private:
        raise PermissionError(
            f"{first} is not writable, and {second} belongs to another user or is open to others. "
            "Set KERAS_HOME to your own folder."
        )
    return second


def _remove_old_parts(path):
    """Removes partial files left behind by processes killed during a download."""
    for part in path.parent.glob(f".{path.stem}.*.part{path.suffix}"):
        if time.time() - part.stat().st_mtime > DAY:
            part.unlink(missing_ok=True)
