"""The references of the benchmarks compute the same results as our layers."""

import json
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_segattn.applications import AttaNet
from keras_segattn.data import RoadScenes
from keras_segattn.layers import CrissCrossAttention, NonLocal


def torch_tensor(x):
    torch = pytest.importorskip("torch")
    return torch.tensor(np.moveaxis(x, 3, 1))


@pytest.mark.once
@pytest.mark.parametrize(
    "ours", [CrissCrossAttention(recurrence=2), NonLocal()], ids=lambda layer: layer.name
)
def test_attention_in_plain_pytorch_computes_what_the_layer_does(ours, rng):
    torch = pytest.importorskip("torch")
    from benchmarks.reference.attention import CrissCrossReference, NonLocalReference

    x = rng.standard_normal((2, 6, 9, 16)).astype("float32")
    ours.build(x.shape)
    kind = NonLocalReference if isinstance(ours, NonLocal) else CrissCrossReference
    theirs = kind(16)
    for name in ("query", "key", "value"):
        conv, layer = getattr(theirs, name), getattr(ours, name)
        kernel = keras.ops.convert_to_numpy(layer.kernel).reshape(16, -1)
        conv.weight.data = torch.tensor(kernel.T.copy())[:, :, None, None]
        conv.bias.data = torch.tensor(keras.ops.convert_to_numpy(layer.bias))
    theirs.gamma.data[:] = 0.7
    ours.gamma.assign([0.7])
    with torch.no_grad():
        expected = theirs(torch_tensor(x)).numpy()
    got = keras.ops.convert_to_numpy(ours(x))
    np.testing.assert_allclose(got, np.moveaxis(expected, 1, 3), rtol=1e-4, atol=1e-5)


@pytest.mark.once
def test_damaged_files_of_every_kind_are_read_or_refused(monkeypatch):
    from benchmarks.attack import attack_readers, files

    monkeypatch.setitem(sys.modules, "torch", None)  # Importing it takes long.

    results, faults, _ = attack_readers(20 * len(files()))
    assert faults == []
    assert results["refused"] > results["read"] / 2


@pytest.mark.once
def test_the_network_in_plain_pytorch_has_the_same_parts():
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.reference.attanet import AttaNetLightReference
    from keras_segattn.flops import count_flops

    theirs, ours = AttaNetLightReference(19).eval(), AttaNet(backbone="light", classes=19)
    shapes = sorted(tuple(sorted(value.shape)) for value in theirs.parameters())
    assert shapes == sorted(tuple(sorted(value.shape)) for value in ours.trainable_weights)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = theirs(torch.zeros(1, 3, 128, 256))
    assert tuple(logits.shape) == (1, 19, 128, 256)
    assert counter.get_total_flops() == 2 * count_flops(ours, (128, 256, 3))


@pytest.mark.once
def test_the_page_is_what_was_measured():
    from benchmarks.page import TARGET, page, read_results

    assert page(read_results()) == TARGET.read_text()


@pytest.mark.once
def test_contenders_are_known_and_a_failing_one_says_why():
    from benchmarks.peers import KERAS_PEERS, TORCH_PEERS
    from benchmarks.reference import YARDSTICKS
    from benchmarks.rivals import KERAS_RIVALS, TORCH_RIVALS
    from benchmarks.runtimes import RUNTIMES
    from benchmarks.speed import comparisons
    from benchmarks.subjects import EDGE_NETWORKS, LAYERS, NETWORKS
    from benchmarks.turns import compare

    specs = [spec for contenders in comparisons().values() for spec in contenders]
    assert json.loads(json.dumps(specs))
    known = {*LAYERS, *NETWORKS, *EDGE_NETWORKS, *KERAS_PEERS, *TORCH_PEERS, *YARDSTICKS}
    known |= {*KERAS_RIVALS, *TORCH_RIVALS}
    assert {spec["subject"] for spec in specs} <= known
    assert {spec["engine"].split(" ")[0] for spec in specs} <= {
        *("tensorflow", "jax", "torch", "plain"),
        *RUNTIMES,
    }
    subjects = ("matmul", "copy", "no such network")
    specs = [
        {"engine": "plain PyTorch", "subject": subject, "shapes": [(256, 256)]}
        for subject in subjects
    ]
    product, copy, unknown = compare(specs, runs=2, log=lambda line: None)
    assert "no such network" in unknown["error"]
    assert product["runs"] == copy["runs"] == 2
    assert product["gflops"] == pytest.approx(2 * 256**3 / product["median"] / 1e9)
    assert product["share"] == copy["memory_share"] == pytest.approx(1)
    assert product["quartiles"][0] <= product["quartiles"][1]


@pytest.mark.once
def test_samples_on_the_device_keep_images_and_labels_together():
    torch = pytest.importorskip("torch")
    from benchmarks.device_samples import DeviceSamples
    from keras_segattn.data.random_scale_crop_flip import RandomScaleCropFlip

    class Stripes:
        """Images whose color is ten times the label."""

        class_names = "abcdefgh"

        def __len__(self):
            return 3

        def read(self, index):
            mask = np.zeros((48, 64), "uint8")
            mask[:, 32:] = index + 1
            mask[24:, :] += 4
            return np.repeat(10 * mask[..., None], 3, axis=2), mask

    recipe = types.SimpleNamespace(
        batch_size=16, crop=(40, 56), scale=(0.5, 2.0), color_jitter=0.0, rare_class_crops=0.5
    )
    samples = DeviceSamples(Stripes(), recipe, seed=0, device=torch.device("cpu"))
    images, labels = (tensor.numpy() for tensor in samples.draw())
    assert images.shape == (16, 40, 56, 3)
    assert labels.shape == (16, 40, 56)
    void = labels == 255
    assert 0 < void.mean() < 0.5
    np.testing.assert_array_equal(images[void], [RandomScaleCropFlip.fill] * void.sum())
    # Colors mix only where two stripes meet.
    assert (np.abs(images[~void][:, 0] - 10 * labels[~void]) < 1e-3).mean() > 0.9
    assert len(np.unique(labels[~void])) == 8


@pytest.mark.once
def test_rare_classes_are_pasted_with_their_labels():
    torch = pytest.importorskip("torch")
    from benchmarks.device_samples import DeviceSamples

    class OneRareObject:
        """Images whose color is ten times the label; the first has a block of class 2."""

        class_names = "abc"

        def __len__(self):
            return 4

        def read(self, index):
            mask = np.zeros((48, 64), "uint8")
            mask[24:] = 1
            mask[:void] = 255
            if index == 0:
                mask[20:28, 24:40] = 2
            return np.repeat(10 * mask[..., None], 3, axis=2), mask

    recipe = types.SimpleNamespace(
        batch_size=16, crop=(48, 64), scale=(1.0, 1.0), color_jitter=0.0, rare_class_crops=0.0
    )

    void = 2

    def draw(share):
        cpu = torch.device("cpu")
        samples = DeviceSamples(OneRareObject(), recipe, seed=0, device=cpu, pasted=share)
        assert samples.rare.tolist() == [False, False, True]
        return [tensor.numpy() for tensor in samples.draw()]

    found = {}
    for share in (0.0, 1.0):
        images, labels = draw(share)
        known = labels != 255
        np.testing.assert_allclose(images[known][:, 0], 10 * labels[known], atol=1e-3)
        assert (labels[:, :2] == 255).all()
        found[share] = (labels == 2).any((1, 2)).sum()
    # Each image is drawn four times; on average, half of the next samples receive the block.
    assert found[0.0] == 4
    assert 4 < found[1.0] <= 8
    recipe.scale, void = (0.5, 0.5), 0
    # Nothing is pasted beside a reduced image.
    np.testing.assert_array_equal(draw(0.0)[1] == 255, draw(1.0)[1] == 255)


@pytest.mark.once
@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [(3, 1, "same"), (5, 1, "same"), (3, 2, "valid"), (5, 2, "valid"), (3, 1, "valid")],
)
def test_float32_gradients_of_depthwise_convolutions_are_the_same(size, strides, padding, rng):
    torch = pytest.importorskip("torch")
    from benchmarks.torch_kernels import with_float32_gradients

    kernel = torch.tensor(rng.standard_normal((size, size, 6, 1)), requires_grad=True)
    x = torch.tensor(rng.standard_normal((2, 12, 15, 6)), requires_grad=True)
    expected = torch.nn.functional.conv2d(
        x.permute(0, 3, 1, 2),
        kernel.permute(2, 3, 0, 1),
        stride=strides,
        padding=size // 2 if padding == "same" else 0,
        groups=6,
    ).permute(0, 2, 3, 1)
    gradient = torch.tensor(rng.standard_normal(expected.shape))
    wanted = torch.autograd.grad(expected, (x, kernel), gradient)

    layer = types.SimpleNamespace(
        kernel=types.SimpleNamespace(value=kernel),
        kernel_size=(size, size),
        strides=(strides, strides),
        padding=padding,
        dilation_rate=(1, 1),
        activation=keras.activations.linear,
        use_bias=False,
    )
    call = with_float32_gradients(lambda layer, inputs: "as in Keras")
    for dtype, tolerance in ((torch.float64, 1e-4), (torch.bfloat16, 0.05)):
        y = call(layer, x.to(dtype))
        assert y.dtype == dtype
        got = torch.autograd.grad(y, (x, kernel), gradient.to(dtype))
        for found, other in zip((y, *got), (expected, *wanted), strict=True):
            scale = other.abs().max()
            assert (found - other).abs().max() < tolerance * scale
    for other in ({"use_bias": True}, {"dilation_rate": (2, 2)}, {"activation": keras.ops.relu}):
        assert call(types.SimpleNamespace(**{**vars(layer), **other}), x) == "as in Keras"


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backbone-of", "a.npz", "--backbone-weights", "folder"], "pass one of them"),
        (["--paste", "30"], "--paste: expected a number from 0 to 1. Received: 30.0"),
        (["--color-jitter", "-0.5"], "--color-jitter: expected a number from 0 to 1"),
        (["--scale", "2", "1"], "expected 0 < LOW <= HIGH"),
    ],
)
def test_arguments_of_the_training_are_checked(arguments, message, capsys, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())  # The script sets its own.
    from benchmarks import camvid_on_gpu

    monkeypatch.setattr(sys, "argv", ["", "--data", "CamVid", "--epochs", "1", *arguments])
    with pytest.raises(SystemExit):
        camvid_on_gpu.main()
    assert message in capsys.readouterr().err


@pytest.mark.once
def test_networks_train_twice_and_are_scored(tmp_path):
    pytest.importorskip("torch")
    for split in ("train", "val", "test"):
        scenes = RoadScenes(split, 2, size=(64, 96))
        for folder in (split, f"{split}annot"):
            (tmp_path / folder).mkdir()
        for index in range(2):
            image, mask = scenes.read(index)
            Image.fromarray(image).save(tmp_path / split / f"{index}.png")
            # In CamVid, void is 11.
            Image.fromarray(np.minimum(mask, 11)).save(tmp_path / f"{split}annot/{index}.png")
    small = ["--batch-size", "2", "--crop", "64", "64", "--epochs", "1"]
    data, first, out = ["--data", str(tmp_path)], str(tmp_path / "first"), str(tmp_path / "out")
    teacher = f"{first}/attanet_light.npz"
    second = ["--start", first, "--teachers", teacher, "--scale", "1", "1"]
    second += ["--rate-factor", "1e-6", "--seed", "1", "--output", out]
    third = ["--backbone-of", teacher, "--rate-factor", "1e-6", "--seed", "1"]
    third += ["--output", str(tmp_path / "third")]
    script = f"""
import sys
from benchmarks import camvid_on_gpu, camvid_scores
for main, arguments in (
    (camvid_on_gpu.main, {["attanet_light", *data, *small, "--output", first]}),
    (camvid_on_gpu.main, {["attanet_light", *data, *small, *second]}),
    (camvid_on_gpu.main, {["attanet_light", *data, *small, *third]}),
    (camvid_scores.main, {[f"{out}/attanet_light.npz", *data]}),
):
    sys.argv[1:] = arguments
    main()
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
    card = json.loads((tmp_path / "out/final/attanet_light.json").read_text())
    assert card["test"]["mean_iou"] > 0
    best = max(card["val of each strength"].values())
    assert card["val of each strength"][str(card["strength"])] == best == card["val"]["mean_iou"]
    with np.load(teacher) as start, np.load(tmp_path / "out/final/attanet_light.npz") as file:
        assert "head/classifier/bias" in file
        kernel = "head/classifier/kernel"
        np.testing.assert_allclose(file[kernel], start[kernel], atol=1e-4)
        with np.load(tmp_path / "third/attanet_light.npz") as third:
            first_kernel = "S1_1/conv/kernel"
            np.testing.assert_allclose(third[first_kernel], start[first_kernel], atol=1e-4)
            assert not np.allclose(third[kernel], start[kernel], atol=1e-2)
