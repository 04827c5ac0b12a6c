"""Mask R-CNN: its parts against NumPy, its counts, and its training."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_segattn.applications import InstanceSegmentationModel, MaskRCNN
from keras_segattn.applications import mask_rcnn_losses as losses
from keras_segattn.backbones.resnet import _basic_block, _resnet
from keras_segattn.detection import encode_boxes
from keras_segattn.detection.box_selection import BoxSelection
from keras_segattn.detection.matching import match_boxes, sample_labels
from keras_segattn.layers import CrissCrossAttention
from tests import quick_jax
from tests.detection.oracles import decode, iou, random_boxes, suppress
from tests.training import RUN_EAGERLY, call, to_numpy

ROOT = Path(__file__).resolve().parents[2]
LAST_LAYERS = {"region_head/objectness": 0.1, "region_head/deltas": 0.1}
LAST_LAYERS |= {"box_head/classifier": 0.02, "box_head/deltas": 0.3, "mask_head/classifier": 1.0}
HALF = ("float16", "bfloat16")
OUTPUTS = ("boxes", "scores", "classes", "masks")


def tiny(input_shape=(None, None, 3), **arguments):
    backbone = _resnet(
        _basic_block,
        (1, 1, 2, 1),
        input_shape,
        32,
        "standard",
        None,
        None,
        "tiny",
        width=8,
        attention={"P4": CrissCrossAttention()},
    )
    defaults = {
        "backbone": backbone,
        "classes": 3,
        "filters": 8,
        "units": 16,
        "proposals": 20,
        "training_proposals": 40,
        "sampled_boxes": 16,
        "detections": 10,
        "input_shape": input_shape,
    }
    return MaskRCNN(**{**defaults, **arguments})


def tell_apart(model, rng):
    """Gives the last layers weights with which boxes have different scores and sizes."""
    for weight in model.weights:
        for path, deviation in LAST_LAYERS.items():
            if weight.path.startswith(path):
                weight.assign(rng.normal(0, deviation, weight.shape).astype("float32"))


def targets(rng, batch=2, objects=3, size=(64, 96)):
    """Random objects whose masks are their boxes, one of them padding."""
    boxes = random_boxes(rng, batch, objects, height=size[0] - 20, width=size[1] - 20)
    boxes = np.maximum(boxes, 0)
    classes = rng.integers(0, 3, (batch, objects))
    masks = np.zeros((batch, objects, size[0] // 4, size[1] // 4), "uint8")
    for i, j in np.ndindex(batch, objects):
        x1, y1, x2, y2 = np.round(boxes[i, j] / 4).astype(int)
        masks[i, j, y1:y2, x1:x2] = 1
    boxes[0, -1], classes[0, -1] = 0, -1
    return {"boxes": boxes, "classes": classes, "masks": masks}


def images(rng, batch=2, size=(64, 96)):
    return rng.normal(size=(batch, *size, 3)).astype("float32")


def tensors(*arrays):
    return [keras.ops.convert_to_tensor(array) for array in arrays]


@pytest.mark.once
def test_counts_are_torchvisions_and_the_papers_attention():
    # torchvision counts neither statistics nor weights of its frozen batch normalization. Its 91
    # classes are ours and the background.
    model = MaskRCNN(classes=90)
    layers = [x for x in model._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    frozen = sum(layer.count_params() for layer in layers)
    assert model.count_params() - frozen == 44_401_393
    attended = MaskRCNN(classes=90, attention="criss_cross")
    assert attended.count_params() - model.count_params() == 1_312_001
    assert "layer3_attention" in [layer.name for layer in attended.get_layer("backbone").layers]


@pytest.mark.once
def test_pretrained_backbones_are_frozen_as_in_maskrcnn_benchmark(rng, tmp_path):
    from keras_segattn.backbones import ResNet18

    ResNet18().save_weights(tmp_path / "resnet.weights.h5")
    sizes = {"classes": 2, "filters": 8, "units": 8, "proposals": 10}
    path = tmp_path / "resnet.weights.h5"
    model = MaskRCNN(backbone="resnet18", backbone_weights=path, **sizes)
    names = [w.path for w in model.trainable_weights if "layer" in w.path or "conv1" in w.path]
    assert not [name for name in names if "layer1" in name or "norm" in name or name[0] == "c"]
    assert any("layer2_0_conv1" in name for name in names)
    model = MaskRCNN(backbone="resnet18", **sizes)
    assert any(w.path.startswith("conv1/norm") for w in model.trainable_weights)


def test_matching_is_the_definition(rng):
    boxes, objects = random_boxes(rng, 40), random_boxes(rng, 2, 4)
    present = np.array([[True, True, False, True], [False] * 4])
    index, label = (
        to_numpy(x) for x in match_boxes(boxes, objects, present, 0.6, 0.3, every_object=True)
    )
    for i in range(2):
        table = np.array(
            [
                [iou(b, o) if p else -1 for o, p in zip(objects[i], present[i], strict=True)]
                for b in boxes
            ]
        )
        best = table.max(1)
        want = np.where(best >= 0.6, 1, np.where(best < 0.3, 0, -1))
        for j in np.flatnonzero(present[i]):
            want[np.isclose(table[:, j], table[:, j].max(), rtol=1e-6)] = 1
        np.testing.assert_array_equal(label[i], want)
        overlap = best > 0
        np.testing.assert_array_equal(index[i][overlap], table.argmax(1)[overlap])
    assert (label[1] == 0).all()


@pytest.mark.parametrize("positives", [0, 3, 9])
def test_samples_are_a_part_of_the_boxes_with_an_object_and_others(positives, rng):
    label = np.zeros((1, 30), "int32")
    label[0, rng.permutation(30)[:positives]] = 1
    label[0, np.flatnonzero(label[0] == 0)[:10]] = -1
    count = 16
    noise = rng.uniform(size=(1, 30)).astype("float32")
    index, positive, drawn = (to_numpy(x)[0] for x in sample_labels(label, noise, count, 4))
    assert positive.sum() == min(positives, 4) and (label[0, index[positive > 0]] == 1).all()
    negative = (drawn > 0) & (positive == 0)
    assert negative.sum() == min(count - positive.sum(), 20 - positives)
    assert (label[0, index[negative]] == 0).all()
    assert (np.diff(positive) <= 0).all() and (np.diff(drawn) <= 0).all()
    assert len(set(index[drawn > 0])) == drawn.sum()


def test_mask_targets_are_the_masks_within_the_boxes():
    # Columns 8 to 24 of 64 are the object; masks are at a quarter of the size.
    masks = np.zeros((1, 2, 12, 16), "uint8")
    masks[0, 1, :, 2:6] = 1
    boxes = np.array(
        [[[0, 0, 32, 48], [8, 8, 24, 20], [30, 0, 60, 40], [16, 0, 32, 48]]], "float32"
    )
    index = np.array([[1, 1, 1, 0]])
    image = np.zeros((1, 48, 64, 3), "float32")
    given = tensors(masks, index, boxes)
    got = to_numpy(losses.mask_targets(*given, 8, image))[0]
    want = np.zeros((4, 8, 8))
    want[0, :, 2:6] = 1
    want[1] = 1
    np.testing.assert_array_equal(got, want)


def test_box_losses_are_the_definition(rng):
    logits = rng.normal(size=(1, 5, 3)).astype("float32")
    deltas = rng.normal(size=(1, 5, 3, 4)).astype("float32")
    boxes, objects = random_boxes(rng, 1, 5), random_boxes(rng, 1, 5)
    classes = np.array([[2, 1, 0, 0, 0]])
    positive, drawn = np.float32([[1, 1, 0, 0, 0]]), np.float32([[1, 1, 1, 1, 0]])
    given = tensors(logits, deltas, boxes, objects, classes, positive, drawn)
    got = losses.box_losses(*given)
    chance = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    entropy = -np.log(chance[0, range(4), classes[0, :4]]).mean()
    wanted = to_numpy(encode_boxes(objects, boxes, (10, 10, 5, 5)))
    size = np.abs(deltas[0, [0, 1], [2, 1]] - wanted[0, :2])
    distance = np.where(size < 1, size**2 / 2, size - 0.5).sum() / 4
    np.testing.assert_allclose(to_numpy(got["classification"]), entropy, rtol=1e-5)
    np.testing.assert_allclose(to_numpy(got["box"]), distance, rtol=1e-5)


def test_region_losses_are_the_definition(rng):
    anchors, objects = random_boxes(rng, 300), random_boxes(rng, 1, 2)
    present = np.array([[True, False]])
    _, label = match_boxes(anchors, objects, present, 0.7, 0.3, every_object=True)
    label = to_numpy(label)[0]
    # Equal among anchors of a kind, so that it does not matter which are drawn.
    logits = np.where(label == 1, 0.5, -2.0).astype("float32")[None]
    wanted = to_numpy(encode_boxes(objects[:, :1], anchors[None]))
    deltas = wanted + np.float32([0.05, 0, 0, 1])
    seed = keras.random.SeedGenerator(0)
    got = losses.region_losses(*tensors(logits, deltas, anchors, objects, present), seed)
    positives = (label == 1).sum()
    negatives = min(256 - positives, (label == 0).sum())
    assert 0 < positives < 128
    entropy = positives * np.log1p(np.exp(-0.5)) + negatives * np.log1p(np.exp(-2.0))
    distance = positives * (0.05**2 / 2 * 9 + 1 - 0.5 / 9)
    total = positives + negatives
    np.testing.assert_allclose(to_numpy(got["region"]), entropy / total, rtol=1e-5)
    np.testing.assert_allclose(to_numpy(got["region_box"]), distance / total, rtol=1e-4)


def test_selection_is_the_definition(rng):
    # Five boxes, each about the same three times.
    proposals = np.repeat(np.maximum(random_boxes(rng, 1, 5), 0), 3, axis=1)
    proposals, image = proposals + np.float32([0, 0, 1, 1]), np.zeros((1, 40, 56, 3))
    proposal_scores = np.where(np.arange(15) < 12, 0.5, -1.0).astype("float32")[None]
    logits = rng.normal(size=(1, 15, 4), scale=2).astype("float32")
    deltas = rng.normal(size=(1, 15, 4, 4), scale=0.5).astype("float32")
    layer = BoxSelection(40, score_threshold=0.2, iou_threshold=0.3, candidates=30)
    boxes, scores, classes = (
        to_numpy(x)[0] for x in layer(proposals, proposal_scores, logits, deltas, image)
    )
    chance = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    pairs = [(chance[0, i, c + 1], i, c) for i in range(12) for c in range(3)]
    pairs = sorted((pair for pair in pairs if pair[0] > 0.2), key=lambda pair: -pair[0])
    found = [
        np.clip(decode(deltas[0, i, c + 1] / [10, 10, 5, 5], proposals[0, i]), 0, [56, 40] * 2)
        for _, i, c in pairs
    ]
    keep = suppress(found, [p[0] for p in pairs], [p[2] for p in pairs], 0.3)
    want = [(p, box) for p, box, k in zip(pairs, found, keep, strict=True) if k]
    n = len(want)
    assert 3 < n < len(pairs) < 30
    np.testing.assert_allclose(boxes[:n], [box for _, box in want], atol=1e-4)
    np.testing.assert_allclose(scores[:n], [p[0] for p, _ in want], rtol=1e-5)
    np.testing.assert_array_equal(classes[:n], [p[2] for p, _ in want])
    assert (scores[n:] == 0).all() and (classes[n:] == -1).all() and (boxes[n:] == 0).all()
    assert boxes.shape == (40, 4)


@pytest.mark.parametrize(
    "dtype",
    ["float32", *(pytest.param(f"mixed_{x}", marks=pytest.mark.once) for x in HALF)],
)
def test_gradients_reach_every_weight(dtype, rng):
    keras.config.set_dtype_policy(dtype)
    model = tiny((64, 96, 3))
    for weight in model.trainable_weights:
        # Attention starts as the identity, and then only the weight of its context learns.
        if weight.path.endswith("attention/gamma"):
            weight.assign([0.5])
    before = [to_numpy(weight) for weight in model.trainable_weights]
    # One step is traced.
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=RUN_EAGERLY and dtype != "float32")
    history = model.fit(images(rng), targets(rng), batch_size=2, epochs=1, verbose=0).history
    assert set(history) == {"loss", "region", "region_box", "classification", "box", "mask"}
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["loss"][0] == pytest.approx(sum(v[0] for v in history.values()) / 2, rel=1e-3)
    if dtype != "float32":
        return
    pairs = zip(model.trainable_weights, before, strict=True)
    still = [w.path for w, old in pairs if not np.abs(to_numpy(w) - old).max() > 0]
    assert [path for path in still if not path.endswith("key/bias")] == []


@pytest.mark.tensorflow
def test_fit_makes_the_variables_of_the_optimizer_first(monkeypatch):
    model = tiny((64, 96, 3))
    model.compile(keras.optimizers.Adam())
    monkeypatch.setattr(keras.Model, "fit", lambda model: model.optimizer.built)
    assert model.fit()


def test_training_goes_on_whatever_is_in_the_images(rng):
    model = tiny((64, 96, 3))
    model.compile(keras.optimizers.SGD(0.001), run_eagerly=RUN_EAGERLY)
    x = images(rng)
    nothing = {
        "boxes": np.zeros((2, 100, 4), "float32"),
        "classes": np.full((2, 100), -1),
        "masks": np.zeros((2, 100, 16, 24), "uint8"),
        "sizes": np.array([[64, 96]] * 2),
    }
    logs = model.train_on_batch(x, nothing, return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert logs["mask"] == logs["box"] == logs["region_box"] == 0
    model.reset_metrics()
    # 100 objects in each image, some without area, some beyond the image, with empty masks.
    many = targets(rng, objects=100)
    many["boxes"][:, 3] = [10, 10, 10, 30]
    many["boxes"][:, 4] = [80, 50, 300, 200]
    # In images that are padded, too.
    many["sizes"] = np.array([[64, 96], [33, 40]])
    logs = model.train_on_batch(x, many, return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert logs["mask"] > 0


def test_unknown_sizes_files_and_evaluation(rng, tmp_path):
    model = tiny()
    tell_apart(model, rng)
    model.class_names = ["disc", "box", "triangle"]
    model.compile(keras.optimizers.SGD(0.01))
    x = images(rng, size=(45, 70))
    found = model.predict(x, verbose=0)
    shapes = {"boxes": (2, 10, 4), "scores": (2, 10), "classes": (2, 10), "masks": (2, 10, 28, 28)}
    assert {key: found[key].shape for key in OUTPUTS} == shapes
    assert found["scores"].max() > 0.05 and (np.diff(found["scores"]) <= 0).all()
    logs = model.evaluate(x, targets(rng, size=(45, 70)), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "region", "region_box", "classification", "box", "mask"}
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(copy, InstanceSegmentationModel)
    assert copy.class_names == ("disc", "box", "triangle") and copy.sampled_boxes == 16
    again = copy.predict(x, verbose=0)
    for key in OUTPUTS:
        np.testing.assert_array_equal(again[key], found[key])
    copy.run_eagerly = RUN_EAGERLY
    copy.train_on_batch(x, targets(rng, size=(45, 70)))


def test_no_object_reaches_into_the_padding(rng):
    model = tiny()
    tell_apart(model, rng)
    x = images(rng)
    whole = call(model, x)
    padded = model.padded_model()
    same = call(padded, [x, np.array([[64, 96]] * 2)])
    for key in OUTPUTS:
        np.testing.assert_allclose(same[key], whole[key], atol=1e-4)
    found = call(padded, [x, np.array([[64, 96], [40, 50]])])
    for key in OUTPUTS:
        np.testing.assert_allclose(found[key][0], whole[key][0], atol=1e-4)
    assert (whole["boxes"][1].max(axis=0)[2:] > [50, 40]).any()
    assert (found["boxes"][1].max(axis=0) <= [50, 40, 50, 40]).all() and found["scores"][1, 0] > 0


SCRIPT = """
import sys
import keras, keras_segattn
import numpy as np
from tests.quick_weights import quick_weights

with quick_weights():
    model = keras.saving.load_model(f"{sys.argv[1]}/model.keras")
found = model.predict(np.load(f"{sys.argv[1]}/x.npy"), verbose=0)
np.savez(f"{sys.argv[1]}/{keras.backend.backend()}.npz", **found)
"""


@pytest.fixture(scope="module")
def found_by_tensorflow(tmp_path_factory):
    """A folder with a model and images, and the objects that TensorFlow finds in them."""
    folder, rng = tmp_path_factory.mktemp("objects"), np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = tiny()
    tell_apart(model, rng)
    x = images(rng, size=(45, 70))
    np.save(folder / "x.npy", x)
    model.save(folder / "model.keras")
    return folder, model.predict(x, verbose=0)


@pytest.mark.tensorflow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_same_weights_same_objects(backend, found_by_tensorflow):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    folder, want = found_by_tensorflow
    environment = {**os.environ, "KERAS_BACKEND": backend}
    if backend == "jax":
        environment["XLA_FLAGS"] = quick_jax.FLAGS
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True)
    got = np.load(folder / f"{backend}.npz")
    np.testing.assert_array_equal(got["classes"], want["classes"])
    for key, tolerance in (("boxes", 1e-3), ("scores", 1e-4), ("masks", 1e-4)):
        np.testing.assert_allclose(got[key], want[key], atol=tolerance)


@pytest.mark.once
def test_refusals_name_the_value(rng):
    with pytest.raises(ValueError, match=r"attention_before_last_block.* Received: attention='non"):
        tiny(attention="non_local")
    with pytest.raises(ValueError, match=r"`attention` must be one of .*Received: 'cross'"):
        tiny(attention="cross")
    with pytest.raises(ValueError, match=r"`freeze_until` must be one of .*Received: 'res2'"):
        tiny(freeze_until="res2")
    with pytest.raises(ValueError, match=r"There is no file 'nowhere\.h5'"):
        tiny(weights="nowhere.h5")
    model = tiny()
    with pytest.raises(ValueError, match=r"3 classes\. Received: \['a'\]"):
        model.class_names = ["a"]
    with pytest.raises(ValueError, match=r"`compile\(optimizer\)`\. Received: loss='mse'"):
        model.compile("sgd", loss="mse")
    x, y = images(rng), targets(rng)
    for wrong, message in (
        ({"boxes": y["boxes"]}, r"Received: \['boxes'\]"),
        ({**y, "boxes": y["boxes"][:, :0]}, r"must be padded to one object.*shape \(2, 0, 4\)"),
    ):
        with pytest.raises(ValueError, match=message):
            model.compute_loss(x, wrong, {})
