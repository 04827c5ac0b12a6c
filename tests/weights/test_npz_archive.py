import tracemalloc
import zipfile

import numpy as np
import pytest

from keras_segattn.backbones import ShuffleNetV2
from keras_segattn.weights import load_backbone_weights, load_checkpoint, npz_archive
from tests.weights import torch_files
from tests.weights.cases import state_dict_of

pytestmark = pytest.mark.once
MB = 1 << 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.npz"


def peak_of(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_backbone_expands_what_it_asks_for(path):
    """An array is expanded only if its name is asked for and its shape fits."""
    model = ShuffleNetV2()
    arrays = state_dict_of(model)
    first = next(name for name in arrays if name.endswith("weight"))
    arrays["fc.weight"] = np.zeros(16 * MB, "float32")
    np.savez_compressed(path, **arrays)
    weights = sum(array.nbytes for name, array in arrays.items() if name != "fc.weight")
    assert peak_of(lambda: load_backbone_weights(model, path)) < 6 * weights < 64 * MB
    arrays[first] = arrays.pop("fc.weight")
    np.savez_compressed(path, **arrays)

    def refuse():
        with pytest.raises(ValueError, match=f"{path} was not loaded.*has shape .16777216,"):
            load_backbone_weights(model, path)

    assert peak_of(refuse) < 6 * weights


def test_an_archive_that_expands_to_much_is_refused_before(path, monkeypatch):
    monkeypatch.setattr(npz_archive, "FREE_EXPANSION", MB)
    np.savez_compressed(path, **{f"a{i}": np.zeros(2 * MB, "uint8") for i in range(10)})

    def refuse():
        with pytest.raises(ValueError, match=f"{path} was not read: it expands to 21 MB"):
            load_checkpoint(path)

    assert peak_of(refuse) < MB
    np.savez_compressed(path, a=np.zeros(MB // 2, "uint8"))
    assert load_checkpoint(path)["a"].shape == (MB // 2,)


def write(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def npy(array, shape=None):
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape or array.shape}
    text = repr(header).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + array.tobytes()


@pytest.mark.parametrize(
    ("entries", "compression", "message"),
    [
        ({"notes.txt": b"text"}, zipfile.ZIP_STORED, "notes.txt, which is not a separate array"),
        ({"a.npy": b"text"}, zipfile.ZIP_STORED, "contains a, which is not an array"),
        ({"a.npy": npy(np.ones(2), (10**15,))}, zipfile.ZIP_STORED, "does not match its numbers"),
        ({"a.npy": npy(np.ones(2))}, zipfile.ZIP_BZIP2, "that NumPy does not use"),
        ({"a.npy": npy(np.ones(2, "M8[s]"))}, zipfile.ZIP_STORED, "neither numbers nor text"),
    ],
)
def test_entries_that_are_no_arrays(entries, compression, message, path):
    write(path, entries, compression)
    for read in (load_checkpoint, lambda path: load_backbone_weights(ShuffleNetV2(), path)):
        with pytest.raises(ValueError, match=f"{path} was not read: it .*{message}"):
            read(path)


def test_text_and_damaged_numbers_where_weights_are_asked_for(path):
    model = ShuffleNetV2()
    arrays = state_dict_of(model)
    name = next(name for name in arrays if name.endswith("weight"))
    np.savez(path, **arrays | {name: np.full(arrays[name].shape, "a")})
    with pytest.raises(ValueError, match=f"{path} was not read: it contains text under {name}"):
        load_backbone_weights(model, path)
    assert load_checkpoint(path)[name].dtype.kind == "U"
    np.savez(path, **arrays)
    content = bytearray(path.read_bytes())
    place = content.find(arrays[name].tobytes()[:64])
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} .*damaged.*{name}"):
        load_backbone_weights(model, path)


def test_more_tensors_than_any_network_has(path, monkeypatch):
    path = path.with_suffix(".pth")
    view = torch_files.tensor(size=(1000,) * 4, stride=(0,) * 4)
    torch_files.write_zip(path, torch_files.dictionary(**{f"p{i}": view for i in range(30)}))
    assert len(load_checkpoint(path)) == 30
    monkeypatch.setattr("keras_segattn.weights.torch_pickle.MOST_TENSORS", 29)
    with pytest.raises(ValueError, match=f"{path} was not read: it has more than 29 tensors"):
        load_checkpoint(path)
