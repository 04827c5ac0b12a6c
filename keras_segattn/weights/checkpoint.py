"""Reads torch checkpoints into NumPy arrays, without torch."""

import contextlib
import io
import mmap
import zipfile
from functools import partial
from pathlib import Path

from keras_segattn.weights.npz_archive import StoredArray, check_expansion, open_npz
from keras_segattn.weights.torch_pickle import TYPES, read_pickle
from keras_segattn.weights.torch_tensors import (
    CheckpointError,
    Storage,
    Tensor,
    arrays_of,
    item_type,
    numbers_of,
)
from keras_segattn.wording import counted

STREAM_MAGIC = 0x1950A86A20F9469CFC6C
STREAM_VERSION = 1001
SAFETENSORS_TYPES = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "BOOL": "bool",
}
# Dicts of dicts of tensors, such as `{"model": {"state_dict": {...}}}`.
DEEPEST_ENTRY = 3


def load_checkpoint(path, entry=None):
    """Reads the tensors of a checkpoint without torch, and without running code from the file.

    It reads `.npz` and `.safetensors` files, and files of `torch.save` with any suffix (`.pth`,
    `.pt`, `.tar`, `.bin`), both in the zip format and in the stream format before torch 1.6. From
    the pickle in a torch file, only the instructions for tensors and plain containers are executed.
    Any other class or function is rejected by name and never imported.

    Args:
        path: The file.
        entry: Name of the dict of tensors, if a torch file has several, such as `"state_dict"` or
            `"model.ema"`. Defaults to `None`, the dict with the most tensors.

    Returns:
        Dict from names in the file to NumPy arrays. Arrays from a torch file are read-only and
        share memory if the tensors do. bfloat16, which NumPy lacks, becomes float32.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If the file is a `.safetensors` file and the library safetensors is not
            installed.
        ValueError: If the file is damaged, has another format, has no tensors, has several dicts
            with the same number of tensors and no `entry` is given, or refers to anything except
            tensors; or if an `.npz` file expands to more than 100 times its size and 64 MiB, or a
            torch file has more than 20,000 tensors.

    Example:

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/weights.npz"
    >>> np.savez(path, weight=np.zeros((2, 3)))
    >>> load_checkpoint(path)["weight"].shape
    (2, 3)
    """
    path = Path(path)
    with reading(path):
        content = open_checkpoint(path, entry)
        if path.suffix == ".npz":
            check_expansion(path, content)
        return {
            name: value.read() if isinstance(value, StoredArray) else value
            for name, value in content.items()
        }


def open_checkpoint(path, entry=None):
    """Like `load_checkpoint`, but the arrays of an `.npz` file are of type `StoredArray`.

    A caller that checks shapes first decompresses only the arrays it needs.
    """
    if not path.is_file():
        raise FileNotFoundError(f"No checkpoint at {path}")
    with reading(path):
        if path.suffix == ".npz":
            return open_npz(path)
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        return _read_torch(path, entry)


@contextlib.contextmanager
def reading(path):
    """Turns any error of a reader into a ValueError with the file name."""
    try:
        yield
    except (ImportError, FileNotFoundError):
        raise
    except CheckpointError as error:
        raise ValueError(f"{path} was not read: it {error}") from None
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise
        # Each reader fails in its own way on a damaged file.
        raise ValueError(
            f"{path} is damaged, or its suffix is wrong: {type(error).__name__}: {error}"
        ) from error


def _read_safetensors(path):
    try:
        from safetensors import deserialize
    except ImportError as error:
        raise ImportError(
            f"Reading {path} requires the library safetensors, which is not installed: "
            'pip install "keras-segattn[weights]"'
        ) from error
    arrays = {}
    for name, tensor in deserialize(path.read_bytes()):
        if tensor["dtype"] not in SAFETENSORS_TYPES:
            raise CheckpointError(f"holds {name} of type {tensor['dtype']}, which NumPy lacks")
        numbers = numbers_of(tensor["data"], SAFETENSORS_TYPES[tensor["dtype"]], "little")
        arrays[name] = numbers.reshape(tensor["shape"])
    return arrays


def _read_torch(path, entry):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[257:262] == b"ustar":
            raise CheckpointError(
                "has the tar format of torch 0.1, which is not supported; load it with an early "
                "torch version and save it again"
            )
        if data[:4] != b"PK\x03\x04":
            return _read_stream(data, entry)
    return _read_zip(path, entry)


def _read_zip(path, entry):
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        roots = [name[: -len("data.pkl")] for name in entries if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise CheckpointError("is a zip archive but was not written by torch.save")
        root = roots[0]
        if f"{root}constants.pkl" in entries:
            raise CheckpointError(
                "is a TorchScript program; with torch installed, save only the weights: "
                "torch.save(model.state_dict(), path)"
            )
        # A malicious file may list the same bytes under many names.
        left = path.stat().st_size

        def read(name):
            nonlocal left
            info = entries[root + name]
            left -= info.file_size
            if info.compress_type != zipfile.ZIP_STORED or left < 0:
                raise CheckpointError(f"contains more in {name} than torch.save writes")
            return archive.read(info)

        order = read("byteorder").decode() if f"{root}byteorder" in entries else "little"
        storages = {}
        pickle = io.BytesIO(read("data.pkl"))
        tensors = _choose(read_pickle(pickle, partial(_storage, storages)), entry)
        return arrays_of(tensors, lambda storage: read(f"data/{storage.key}"), order)


def _read_stream(data, entry):
    """Reads magic number, version and description, then the tensors, then their numbers."""
    if read_pickle(data) != STREAM_MAGIC:
        raise CheckpointError("was not written by torch.save")
    version = read_pickle(data)
    if version != STREAM_VERSION:
        raise CheckpointError(f"has version {version} of the stream format, not {STREAM_VERSION}")
    read_pickle(data)
    storages, places = {}, {}
    tensors = _choose(read_pickle(data, partial(_storage, storages)), entry)
    for key in read_pickle(data):
        if not isinstance(key, str):
            raise CheckpointError("has storages whose keys are not text")
        numel = int.from_bytes(data.read(8), "little")
        if numel != storages[key].numel:
            raise CheckpointError(
                f"has {counted(numel, 'number')} where it names {storages[key].numel}"
            )
        start = data.tell()
        places[key] = slice(start, start + numel * item_type(storages[key].dtype).itemsize)
        data.seek(places[key].stop)
    return arrays_of(tensors, lambda storage: data[places[storage.key]], "little")


def _storage(storages, persistent_id):
    """Converts a pickle's description of a storage to a `Storage`, kept in `storages` by key."""
    kind, dtype, key, _, numel, *view = persistent_id
    dtype = TYPES.get(getattr(dtype, "name", None))
    known = kind == "storage" and dtype is not None and isinstance(key, str)
    # Early torch could store a view of another storage; this is obsolete.
    if not known or not isinstance(numel, int) or view not in ([], [None]):
        raise CheckpointError("has a storage of unknown type")
    storage = Storage(dtype, key, numel)
    if storages.setdefault(key, storage) != storage:
        raise CheckpointError(f"has two conflicting descriptions of the storage {key}")
    return storage


def _choose(content, entry):
    """Returns the dict of tensors from the content of a file."""
    found = dict(_dicts_of_tensors(content, "", DEEPEST_ENTRY, set()))
    if entry is not None:
        if entry not in found:
            raise CheckpointError(f"has no entry {entry!r} with tensors, only {sorted(found)}")
        return found[entry]
    if not found:
        raise CheckpointError("contains no dict of tensors")
    most = max(map(len, found.values()))
    best = [name for name, tensors in found.items() if len(tensors) == most]
    if len(best) > 1:
        raise CheckpointError(
            f"has several dicts with {counted(most, 'tensor')}; pass one as `entry`: {sorted(best)}"
        )
    return found[best[0]]


def _dicts_of_tensors(content, name, depth, seen):
    if not isinstance(content, dict) or id(content) in seen:
        return
    seen.add(id(content))
    tensors = {
        key: value
        for key, value in content.items()
        if isinstance(value, Tensor) and isinstance(key, str)
    }
    if tensors:
        yield name, tensors
    for key, value in content.items():
        if depth and isinstance(value, dict):
            yield from _dicts_of_tensors(value, f"{name}.{key}".lstrip("."), depth - 1, seen)
