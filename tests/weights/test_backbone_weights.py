import keras
import numpy as np
import pytest

from keras_segattn.applications import canet
from keras_segattn.backbones import MobileNetV2, ResNet18
from keras_segattn.data import CamVid
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.weights import load_backbone_weights
from tests.training import randomize, to_numpy


def archive_of(model):
    """The arrays that an archive of a backbone holds."""
    arrays = {"bn_eps": np.float32(1e-5)}
    for block in model.layers:
        if not isinstance(block, ConvNormAct):
            continue
        key = block.name.replace("_", ".")
        axes = (2, 3, 0, 1) if block.filters is None else (3, 2, 0, 1)
        arrays[f"{key}.weight"] = np.transpose(to_numpy(block.conv.kernel), axes)
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            arrays[f"{key}.bn.{name}"] = to_numpy(getattr(block.norm, name))
    return arrays


@pytest.fixture
def source(rng):
    model = MobileNetV2()
    randomize(model, rng)
    return model


def same(one, other):
    return all(
        np.array_equal(to_numpy(a), to_numpy(b))
        for a, b in zip(one.weights, other.weights, strict=True)
    )


@pytest.mark.parametrize("suffix", [".npz", ".weights.h5"])
def test_round_trip(source, suffix, tmp_path):
    path = tmp_path / f"backbone{suffix}"
    if suffix == ".npz":
        np.savez(path, **archive_of(source))
    else:
        source.save_weights(path)
    target = MobileNetV2()
    assert not same(source, target)
    load_backbone_weights(target, path)
    assert same(source, target)
    assert same(source, MobileNetV2(weights=path))


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("block3.expand.bn.beta"), r"block3\.expand\.bn\.beta is missing"),
        (
            lambda a: a.update({"stem.weight": np.zeros((32, 1, 3, 3))}),
            r"stem\.weight has shape \(32, 1, 3, 3\), not \(32, 3, 3, 3\)",
        ),
        (lambda a: a.update(bn_eps=np.float32(1e-3)), r"epsilon 0\.001"),
    ],
)
def test_what_does_not_fit_changes_nothing(source, change, message, tmp_path):
    arrays = archive_of(source)
    change(arrays)
    np.savez(tmp_path / "wrong.npz", **arrays)
    target = MobileNetV2()
    before = [to_numpy(weight) for weight in target.weights]
    with pytest.raises(ValueError, match=message):
        load_backbone_weights(target, tmp_path / "wrong.npz")
    for weight, value in zip(target.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)


@pytest.mark.once
def test_a_backbone_of_other_layers_is_refused(source, tmp_path):
    np.savez(tmp_path / "weights.npz", **archive_of(source))
    image = keras.Input((None, None, 3))
    other = keras.Model(image, {"P5": keras.layers.Conv2D(4, 3)(image)}, name="other")
    with pytest.raises(ValueError, match="has the layers of 'other', such as"):
        load_backbone_weights(other, tmp_path / "weights.npz")


@pytest.mark.once
def test_weights_of_another_backbone_change_nothing(source, tmp_path):
    ResNet18().save_weights(tmp_path / "resnet.weights.h5")
    before = source.get_weights()
    with pytest.raises(ValueError):
        load_backbone_weights(source, tmp_path / "resnet.weights.h5")
    for one, other in zip(before, source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.once
def test_unknown_suffix_and_missing_file(source, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none\.npz\. Pass the path of .* or 'imagenet' for"
    ):
        load_backbone_weights(source, tmp_path / "none.npz")
    (tmp_path / "model.pkl").touch()
    with pytest.raises(ValueError, match=r"model\.pkl"):
        load_backbone_weights(source, tmp_path / "model.pkl")


@pytest.mark.once
def test_imagenet_features_tell_classes_apart(shared):
    """A nearest-mean classifier on frozen features of real images: trained beats random weights."""
    weights = shared("weights", "mobilenetv2_1.0_torchvision_convbn.npz")
    data = CamVid(shared("camvid"), "train")

    def accuracy(model):
        vectors, labels = [], []
        for index in range(0, 360, 30):
            image, mask = data.read(index)
            features = model.predict(canet.preprocess_input(image[None]), verbose=0)["P3"][0]
            step = mask[4::8, 4::8]
            vectors.append(features[: step.shape[0], : step.shape[1]][step < 255])
            labels.append(step[step < 255])
        train, test = (np.concatenate(vectors[half::2]) for half in (0, 1))
        y_train, y_test = (np.concatenate(labels[half::2]) for half in (0, 1))
        mean, deviation = train.mean(0), train.std(0) + 1e-6
        train, test = (train - mean) / deviation, (test - mean) / deviation
        targets = np.eye(11)[y_train]
        readout = np.linalg.lstsq(train, targets, rcond=None)[0]
        hits = (test @ readout).argmax(-1) == y_test
        return np.mean([hits[y_test == label].mean() for label in np.unique(y_test)])

    assert accuracy(MobileNetV2(weights=weights)) > accuracy(MobileNetV2()) + 0.05
