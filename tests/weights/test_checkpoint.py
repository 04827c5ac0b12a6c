import io
import json
import pickle
import re
import struct
import sys
import zipfile

import numpy as np
import pytest

from keras_segattn.layers import CrissCrossAttention
from keras_segattn.weights import load_checkpoint, load_torch_state_dict
from keras_segattn.weights.torch_pickle import read_pickle
from tests.training import randomize, to_numpy
from tests.weights import torch_files
from tests.weights.torch_files import dictionary, integer, sequence, tensor, text

pytestmark = pytest.mark.once
SHIFTS = [[0, 1], [2, 3]]
ORDERED_DICT = b"ccollections\nOrderedDict\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def refuses(path, message=""):
    with pytest.raises(ValueError, match=f"(?s){re.escape(str(path))}.*{message}"):
        load_checkpoint(path)


def tensors_of_every_kind(torch):
    base = torch.arange(24, dtype=torch.float32)
    return {
        "shared": base[:12].view(3, 4),
        "transposed": base.view(4, 6).t(),
        "strided": base.view(4, 6)[1::2, ::3],
        "expanded": torch.ones(3, 1).expand(3, 4),
        "parameter": torch.nn.Parameter(torch.randn(2, 3)),
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        **{
            str(dtype): torch.tensor([0, 1, 1, 3]).to(dtype)
            for dtype in (
                torch.float16,
                torch.bfloat16,
                torch.float64,
                torch.uint8,
                torch.int8,
                torch.int16,
                torch.uint16,
                torch.int32,
                torch.bool,
                torch.complex64,
            )
        },
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch(zipped, path):
    torch = pytest.importorskip("torch")
    tensors = tensors_of_every_kind(torch)
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    arrays = load_checkpoint(path)
    assert list(arrays) == list(tensors)
    for name, value in tensors.items():
        value = value.detach()
        if value.dtype == torch.bfloat16:
            value = value.float()
        assert arrays[name].dtype == value.numpy().dtype, name
        np.testing.assert_array_equal(arrays[name], value.numpy(), strict=True)
        assert not arrays[name].flags.writeable or not arrays[name].size
    assert np.shares_memory(arrays["shared"], arrays["transposed"])


@pytest.mark.parametrize("zipped", [True, False])
def test_state_dict_in_what_trainings_save(zipped, path):
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.zeros(1, 3, 5, 5)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 7,
        "best": torch.tensor(0.5),
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    arrays = load_checkpoint(path)
    assert set(arrays) == set(model.state_dict())
    assert set(load_checkpoint(path, entry="optimizer.state.0")) == {
        "step",
        "exp_avg",
        "exp_avg_sq",
    }
    checkpoint["ema"] = model.state_dict()
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    refuses(path, "pass one as `entry`: .'ema', 'state_dict'.")
    assert set(load_checkpoint(path, entry="ema")) == set(arrays)
    with pytest.raises(ValueError, match="no entry 'model'"):
        load_checkpoint(path, entry="model")


def test_other_files_of_torch_are_refused(path):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), path)
    refuses(path, r"torch\.nn\.modules\.linear\.Linear.*torch\.save\(model\.state_dict\(\), path\)")
    torch.save(torch.zeros(3), path)
    refuses(path, "no dict of tensors")
    torch_files.write_zip(path, dictionary(a=tensor()), {"constants.pkl": b""})
    refuses(path, "TorchScript")


@pytest.mark.parametrize("write", [torch_files.write_zip, torch_files.write_stream])
def test_files_put_together_by_hand(write, path):
    write(path, dictionary(a=tensor(), b=tensor(offset=1, size=(2,), stride=(2,))))
    arrays = load_checkpoint(path)
    np.testing.assert_array_equal(arrays["a"], np.array(SHIFTS, "float32"), strict=True)
    np.testing.assert_array_equal(arrays["b"], [1, 3])


def test_ordered_dicts_of_python_2(path):
    pair = b"](" + text("a") + tensor() + b"e"
    torch_files.write_stream(path, ORDERED_DICT + sequence(b"](" + pair + b"e") + b"R")
    np.testing.assert_array_equal(load_checkpoint(path)["a"], SHIFTS)


def test_byte_order_of_the_machine_that_wrote(path):
    entries = {"data/0": np.arange(4, dtype=">f4").tobytes(), "byteorder": b"big"}
    torch_files.write_zip(path, dictionary(a=tensor()), entries)
    np.testing.assert_array_equal(load_checkpoint(path)["a"], SHIFTS)


def test_other_kinds_of_files(path):
    path = path.with_suffix(".npz")
    np.savez(path, a=np.ones(3), b=np.float16(2))
    arrays = load_checkpoint(path)
    assert arrays["a"].shape == (3,)
    assert arrays["b"].dtype == "float16"
    np.savez(path, a=np.array([{}]))
    refuses(path, "allow_pickle")


def test_safetensors(path):
    pytest.importorskip("safetensors")
    path = path.with_suffix(".safetensors")
    header = {
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "BF16", "shape": [2], "data_offsets": [16, 20]},
    }
    header = json.dumps(header).encode()
    # The upper halves of 1 and -2 in float32.
    data = np.arange(4, dtype="<f4").tobytes() + np.array([0x3F80, 0xC000], "<u2").tobytes()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    arrays = load_checkpoint(path)
    np.testing.assert_array_equal(arrays["a"], SHIFTS)
    np.testing.assert_array_equal(arrays["b"], [1, -2])
    path.write_bytes(path.read_bytes()[:-1])
    refuses(path)


def test_safetensors_that_is_not_installed(path, monkeypatch):
    path = path.with_suffix(".safetensors")
    path.touch()
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"keras-segattn\[weights\]"):
        load_checkpoint(path)


def test_missing_empty_and_foreign_files(path):
    with pytest.raises(FileNotFoundError, match=r"weights\.pth"):
        load_checkpoint(path)
    for content in (b"", b"GIF89a", b"\x89HDF\r\n\x1a\n" * 99, b"PK\x03\x04", b"\x80\x02."):
        path.write_bytes(content)
        refuses(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refuses(path, "was not written by torch.save")
    path.write_bytes(bytes(257) + b"ustar" + bytes(250))
    refuses(path, "tar form")


class Attack:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_of_a_file_is_run(zipped, protocol, path):
    proof = path.with_name("proof")
    attack = pickle.dumps({"a": Attack(proof)}, protocol)
    pickle.loads(attack)["a"].close()
    assert proof.exists()
    proof.unlink()
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", attack)
    else:
        path.write_bytes(attack)
    refuses(path, r"io\.open" if protocol > 1 else "")
    assert not proof.exists()


LONG = b"(" + b"N" * 1_000 + b"t"
FUNCTION = b"ctorch._utils\n_rebuild_tensor_v2\n"
HUGE = 1 << 40
DEEP = b"N" + b"\x85" * 200_000
HOSTILE = {
    "global": (b"cposix\nsystem\n" + sequence(text("true")) + b"R", r"posix\.system"),
    "text for a global": (text("os") + text("system") + b"\x93", r"os\.system"),
    "attribute of a global": (
        text("collections") + text("OrderedDict.fromkeys") + b"\x93",
        r"OrderedDict\.fromkeys",
    ),
    "instance": (b"(" + text("true") + b"iposix\nsystem\n", "INST"),
    "new object": (ORDERED_DICT + b")\x81", "NEWOBJ"),
    "extension": (b"\x82\x01", "EXT1"),
    "state of a function": (FUNCTION + dictionary(a=b"N") + b"b", "fills a"),
    "call of a type": (b"ctorch\nFloatStorage\n)R", "calls an object that is not a function"),
    "call of a tensor": (dictionary(a=tensor() + b")R"), "calls an object that is not a function"),
    "call of text": (text("a") + b")R", "calls an object that is not a function"),
    "arguments that are no tuple": (FUNCTION + b"]R", "without arguments"),
    "tensor of nothing": (FUNCTION + sequence(*[b"N"] * 4) + b"R", "without a storage"),
    "storage that is not there": (dictionary(a=tensor(key="1")), ""),
    "storage outside": (dictionary(a=tensor(key="../data.pkl")), ""),
    "storage of another kind": (dictionary(a=tensor(kind="QInt8Storage")), "QInt8Storage"),
    "storage of two kinds": (
        dictionary(a=tensor(), b=tensor(kind="IntStorage")),
        "conflicting descriptions",
    ),
    "storage that is longer": (dictionary(a=tensor(numel=5)), "ends before|names 5"),
    "storage without end": (dictionary(a=tensor(numel=HUGE)), "ends before|names"),
    "shape beyond": (dictionary(a=tensor(size=(2, 3))), "larger than its storage"),
    "offset beyond": (dictionary(a=tensor(offset=HUGE)), "larger than its storage"),
    "offset before": (dictionary(a=tensor(offset=-1)), "impossible shape"),
    "stride back": (dictionary(a=tensor(stride=(-2, 1))), "impossible shape"),
    "stride missing": (dictionary(a=tensor(stride=(1,))), "impossible shape"),
    "size without end": (dictionary(a=tensor(size=(HUGE, HUGE), stride=(0, 0))), ""),
    "too many axes": (dictionary(a=tensor(size=(1,) * 99, stride=(0,) * 99)), ""),
    "copies of what is long": (b"ctorch\nSize\n" + sequence(LONG) + b"R", "impossible shape"),
    "deep key": (b"}" + DEEP + b"Ns", "neither text nor numbers"),
    "deep key of an OrderedDict": (
        ORDERED_DICT + sequence(sequence(sequence(DEEP, b"N"))) + b"R",
        "neither text nor numbers",
    ),
    "deep value": (dictionary(a=DEEP), "no dict of tensors"),
    "itself": (b"}q\x00" + text("a") + b"h\x00s", "no dict of tensors"),
    "nothing on the stack": (b"\x87", "more from the stack"),
    "no mark": (b"Nt", "more from the stack"),
    "unknown memo": (b"h\x09", ""),
    "two results": (b"NN", ""),
}


@pytest.mark.parametrize("write", [torch_files.write_zip, torch_files.write_stream])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name, write, path):
    content, message = HOSTILE[name]
    write(path, content)
    refuses(path, message)


def test_keys_that_are_no_text(path):
    torch_files.write_stream(path, dictionary(a=tensor()), storages={})
    keys, deep = torch_files.pickled(b"](e"), torch_files.pickled(b"](" + DEEP + b"e")
    path.write_bytes(path.read_bytes().removesuffix(keys) + deep)
    refuses(path, "keys are not text")


def test_a_few_bytes_do_not_ask_for_memory(path):
    # A view, as torch has it too: nothing is allocated until somebody copies it.
    torch_files.write_zip(path, dictionary(a=tensor(size=(HUGE,), stride=(0,))))
    assert load_checkpoint(path)["a"].shape == (HUGE,)
    numbers = {f"data/{key}": bytes(100_000) for key in range(2)}
    torch_files.write_zip(path, dictionary(a=tensor(numel=25_000)), numbers, zipfile.ZIP_DEFLATED)
    refuses(path, "more in data.pkl than torch.save writes|more in data/0")


def test_pairs_are_copied_once():
    pairs = b"]q\x00(](" + integer(1) + integer(2) + b"ee"
    twice = ORDERED_DICT + pairs + b"\x85R" + ORDERED_DICT + b"h\x00\x85R" + b"\x86"
    assert read_pickle(io.BytesIO(torch_files.pickled(twice))) == ({1: 2}, {})


def test_dicts_within_each_other_are_searched_once(path):
    inner = b"".join(integer(i) + b"h\x00" for i in range(2_000))
    torch_files.write_zip(path, b"}q\x00(" + inner + b"u")
    refuses(path, "no dict of tensors")


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_files_never_load_by_halves(zipped, path, rng):
    layer = CrissCrossAttention(reduction=2)
    layer.build((None, 5, 7, 4))
    randomize(layer, rng)
    before = [to_numpy(weight) for weight in layer.weights]
    shapes = {"gamma": (1,)}
    for name, filters in (("query", 2), ("key", 2), ("value", 4)):
        shapes[f"{name}_conv.weight"] = (filters, 4, 1, 1)
        shapes[f"{name}_conv.bias"] = (filters,)
    items, storages = {}, {}
    for key, (name, shape) in enumerate(shapes.items()):
        numbers = rng.normal(size=np.prod(shape)).astype("<f4")
        stride = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
        items[name] = tensor(str(key), numel=len(numbers), size=shape, stride=stride)
        storages[str(key)] = numbers
    if zipped:
        entries = {f"data/{key}": numbers.tobytes() for key, numbers in storages.items()}
        torch_files.write_zip(path, dictionary(**items), entries)
    else:
        torch_files.write_stream(path, dictionary(**items), storages)
    whole = path.read_bytes()
    assert set(load_checkpoint(path)) == set(shapes)

    refused = 0
    for step in range(400):
        data = bytearray(whole)
        if step % 4 == 0:
            del data[rng.integers(len(data)) :]
        else:
            for place in rng.integers(len(data), size=step % 4):
                data[place] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        try:
            load_torch_state_dict(layer, load_checkpoint(path))
        except ValueError:
            refused += 1
            for weight, value in zip(layer.weights, before, strict=True):
                np.testing.assert_array_equal(to_numpy(weight), value)
        else:
            before = [to_numpy(weight) for weight in layer.weights]
    # What is left are bits of numbers, which only the zip form has a checksum of, and of dates.
    assert refused > (300 if zipped else 200)
