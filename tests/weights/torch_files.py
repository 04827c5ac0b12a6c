"""Files of torch.save, put together byte by byte: those that torch itself would not write."""

import struct
import zipfile

import numpy as np


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value):
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def sequence(*items):
    return b"(" + b"".join(items) + b"t"


def dictionary(**items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def tensor(key="0", kind="FloatStorage", numel=4, offset=0, size=(2, 2), stride=(2, 1)):
    storage = sequence(
        text("storage"), f"ctorch\n{kind}\n".encode(), text(key), text("cpu"), integer(numel)
    )
    arguments = sequence(
        storage + b"Q",
        integer(offset),
        sequence(*map(integer, size)),
        sequence(*map(integer, stride)),
        b"\x89",
        b"ccollections\nOrderedDict\n)R",
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def pickled(content):
    return b"\x80\x02" + content + b"."


def write_zip(path, content, entries=None, compression=zipfile.ZIP_STORED):
    """The zip form; `entries` beside the pickle, by default one storage of four numbers."""
    if entries is None:
        entries = {"data/0": np.arange(4, dtype="<f4").tobytes()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in {"data.pkl": pickled(content), **entries}.items():
            archive.writestr(f"archive/{name}", data)


def write_stream(path, content, storages=None):
    """The stream form; `storages` are the numbers of each key."""
    if storages is None:
        storages = {"0": np.arange(4, dtype="<f4")}
    parts = [
        pickled(integer(0x1950A86A20F9469CFC6C)),
        pickled(integer(1001)),
        pickled(dictionary(little_endian=b"\x88")),
        pickled(content),
        pickled(b"](" + b"".join(map(text, storages)) + b"e"),
    ]
    for numbers in storages.values():
        parts += [struct.pack("<q", len(numbers)), numbers.tobytes()]
    path.write_bytes(b"".join(parts))
