import io
import zipfile

import h5py
import keras
import numpy as np
import pytest

from keras_segattn.applications import CCNet
from keras_segattn.weights import keras_file, load_backbone_weights
from tests.applications.cases import tiny_backbone
from tests.training import to_numpy

pytestmark = pytest.mark.once


@pytest.fixture
def model():
    image = keras.Input((None, None, 3), name="image")
    return keras.Model(image, keras.layers.Conv2D(4, 3, name="conv")(image), name="small")


@pytest.fixture
def path(model, tmp_path):
    model.save_weights(tmp_path / "small.weights.h5")
    return tmp_path / "small.weights.h5"


def kernel_of(file):
    found = []
    file.visititems(
        lambda name, item: found.append(name) if getattr(item, "ndim", 0) == 4 else None
    )
    return found[0]


def outside(file, name, folder):
    secret = folder / "secret"
    secret.write_bytes(np.full(108, 7, "float32").tobytes())
    del file[name]
    file.create_dataset(name, (3, 3, 3, 4), "float32", external=[(secret, 0, 432)])


def virtual(file, name, folder):
    del file[name]
    layout = h5py.VirtualLayout((3, 3, 3, 4), "float32")
    layout[:] = h5py.VirtualSource(folder / "other.h5", "data", (3, 3, 3, 4))
    file.create_virtual_dataset(name, layout)


def link(file, name, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["data"] = np.zeros((3, 3, 3, 4), "float32")
    del file[name]
    file[name] = h5py.ExternalLink(folder / "other.h5", "data")


def huge(file, name, folder):
    del file[name]
    file.create_dataset(name, (2048, 1024), "float32", compression="gzip")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (outside, "stores its numbers in other files"),
        (virtual, "stores its numbers in other files"),
        (link, "has a link '0', which may lead"),
        (huge, "has 2,097,152 numbers, more than the whole network"),
    ],
)
def test_hostile_files(change, message, model, path, tmp_path, monkeypatch):
    with h5py.File(path, "r+") as file:
        change(file, kernel_of(file), tmp_path)
    before = [to_numpy(weight) for weight in model.weights]
    # Refused by this package, whatever the version of Keras does.
    monkeypatch.setattr(model, "load_weights", lambda path: pytest.fail("was read"))
    with pytest.raises(ValueError, match=f"{path} was not loaded into 'small'.*{message}"):
        keras_file.load_keras_weights(model, path)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)


def test_damaged_files(model, path):
    whole = path.read_bytes()
    for content in (b"", b"no weights", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path} was not loaded into 'small'"):
            load_backbone_weights(model, path)
    path.write_bytes(whole)
    load_backbone_weights(model, path)


def test_networks_read_them_so_too(path):
    with pytest.raises(ValueError, match=f"{path} was not loaded into 'ccnet'"):
        CCNet(backbone=tiny_backbone(), classes=2, filters=16, weights=path)


@pytest.mark.parametrize("change", [outside, virtual, link])
def test_hostile_weights_in_a_model_file(change, model, tmp_path, monkeypatch):
    path = tmp_path / "small.keras"
    model.save(path)
    copy = keras_file.load_keras_model(path)
    np.testing.assert_array_equal(to_numpy(copy.weights[0]), to_numpy(model.weights[0]))
    assert not copy.compiled
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    content = io.BytesIO(entries["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        change(file, kernel_of(file), tmp_path)
    entries["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    # Refused by this package, whatever the version of Keras does.
    monkeypatch.setattr(keras.saving, "load_model", lambda *args, **_: pytest.fail("was read"))
    with pytest.raises(ValueError, match=rf"{path} was not loaded: .*(other|outside)"):
        keras_file.load_keras_model(path)


def test_weights_that_expand_in_a_model_file_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes((1 << 20) * 101))
    with pytest.raises(ValueError, match=r"bomb\.keras was not loaded: model\.weights\.h5 expands"):
        keras_file.load_keras_model(tmp_path / "bomb.keras")
