"""One process at a time holds a file, on Windows too."""

import errno
import os
import runpy
import sys
import types

import pytest

from keras_segattn import file_lock
from keras_segattn.export.staging import staging_folder
from keras_segattn.file_lock import HeldError, hold, release
from keras_segattn.training.folder_lock import locked

pytestmark = pytest.mark.once


def test_one_at_a_time(tmp_path):
    path = tmp_path / "lock"
    lock = hold(path)
    os.write(lock, b"me")
    with pytest.raises(HeldError, match="me"):
        hold(path)
    release(lock, path)
    assert not path.exists()
    release(hold(path), path)
    # A folder that was removed meanwhile hides no other error.
    lock = hold(path)
    path.unlink()
    release(lock, path)


@pytest.fixture
def windows(monkeypatch):
    """Replaces fcntl by a stand-in for `msvcrt`; yields the locked files."""
    held = {}

    def locking(descriptor, mode, count):
        assert count == 1
        assert os.lseek(descriptor, 0, os.SEEK_CUR) > 1 << 20
        file = os.fstat(descriptor).st_ino
        if mode == "unlock":
            assert held.pop(file) == descriptor
        elif held.setdefault(file, descriptor) != descriptor:
            raise PermissionError(errno.EACCES, "Permission denied")

    msvcrt = types.SimpleNamespace(LK_NBLCK="lock", LK_UNLCK="unlock", locking=locking)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    imported = runpy.run_path(file_lock.__file__)
    for name in ("fcntl", "msvcrt"):
        monkeypatch.setattr(file_lock, name, imported[name], raising=False)
    return held


@pytest.mark.parametrize(
    ("holding", "told"),
    [(locked, "is in use by process"), (staging_folder, "Another process is exporting")],
)
def test_on_windows(holding, told, windows, tmp_path):
    for _ in range(2):
        with holding(tmp_path / "a"):
            assert len(windows) == 1
            with pytest.raises(RuntimeError, match=told), holding(tmp_path / "a"):
                pass
        assert not windows
    assert [path.name for path in tmp_path.rglob("*")] in (["a"], [])
