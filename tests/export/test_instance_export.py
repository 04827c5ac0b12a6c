"""Artifacts of instance segmentation: equal to the model, and run without it."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import MaskRCNN
from keras_segattn.data import DrawnShapes
from keras_segattn.export import (
    ExportedInstanceSegmenter,
    ExportedSegmenter,
    export_model,
    exported_instance_segmenter,
    read_metadata,
)
from keras_segattn.export.instance_export import (
    LEAST_AGREEMENT,
    compare_objects,
    instance_serving_model,
)
from keras_segattn.export.saved_model import SavedModel
from keras_segattn.inference import segment_instances
from tests.applications.cases import tiny_backbone
from tests.training import to_numpy

LAST_LAYERS = {"region_head/objectness": 0.1, "region_head/deltas": 0.1}
LAST_LAYERS |= {"box_head/classifier": 1.0, "box_head/deltas": 0.3, "mask_head/classifier": 3.0}


@pytest.fixture
def model(rng):
    """A network whose objects have different scores, sizes and masks."""
    sizes = {"filters": 8, "units": 8, "proposals": 12, "detections": 6}
    model = MaskRCNN(backbone=tiny_backbone(), classes=3, **sizes)
    for weight in model.weights:
        for path, deviation in LAST_LAYERS.items():
            if weight.path.startswith(path):
                weight.assign(rng.normal(0, deviation, weight.shape).astype("float32"))
    model.class_names = DrawnShapes.class_names
    return model


IMAGES = [DrawnShapes("val", 1, size).read(0)[0] for size in ((50, 70), (64, 96))]


@pytest.mark.parametrize(
    "format", [pytest.param("onnx", marks=pytest.mark.tensorflow), "saved_model"]
)
def test_an_artifact_finds_what_the_model_finds(format, model, tmp_path):
    pytest.importorskip("tf2onnx" if format == "onnx" else "tensorflow")
    path = tmp_path / ("model.onnx" if format == "onnx" else "saved")
    report = export_model(model, path, format, images=IMAGES)
    assert report.agreement >= 0.98 and report.of == "objects"
    assert "of the objects as in Keras" in str(report)
    metadata = read_metadata(path)
    assert metadata["output"] == "objects" and metadata["class_names"] == list(model.class_names)
    find = ExportedInstanceSegmenter(path)
    for image, sides in ((IMAGES[0], {}), (IMAGES[1], {"short_side": 40, "long_side": 50})):
        want = segment_instances(model, image, score_threshold=0, **sides)
        got = find(image, score_threshold=0, **sides)
        assert len(got) == len(want) > 1
        assert repr(got) == repr(want) and got.class_names == list(want.class_names)
        if not sides:  # Pillow's resizing rounds otherwise than the backend's.
            np.testing.assert_array_equal(got.classes, want.classes)
            np.testing.assert_allclose(got.boxes, want.boxes, atol=0.05)
            np.testing.assert_allclose(got.scores, want.scores, atol=1e-4)
            assert np.mean(got.masks == want.masks) > 0.999
    with pytest.raises(ValueError, match=r"returns objects; export it with"):
        ExportedSegmenter(path)


@pytest.mark.tensorflow
def test_what_only_class_maps_have_is_refused(model, tmp_path, monkeypatch):
    for arguments, message in (
        ({"output": "logits"}, r"`output` applies only to .*Received: output='logits'"),
        ({"network_size": (64, 64)}, r"`network_size` applies only to .*\(64, 64\)"),
        ({"format": "openvino"}, r"to \('saved_model', 'onnx'\).*Received: format='openvino'"),
        ({"format": "onnx", "dtype": "int8", "images": IMAGES}, r"dtype of an instance.*'int8'"),
    ):
        suffix = ".onnx" if arguments.get("format") == "onnx" else ""
        with pytest.raises(ValueError, match=message):
            export_model(model, tmp_path / f"artifact{suffix}", **arguments)
    assert not list(tmp_path.iterdir())
    metadata = {"input": {"shape": [None, None, None, 3], "dtype": "uint8"}, "output": "class_map"}
    monkeypatch.setattr(exported_instance_segmenter, "read_metadata", lambda path: metadata)
    with pytest.raises(ValueError, match=r"returns class_map; export an instance segmentation"):
        ExportedInstanceSegmenter("canet.onnx")


# Layers of a network, and a value that makes it another network.
WRONG = {
    "box_align": ("aligned", False),
    "mask_align": ("aligned", False),
    "proposals": ("count", 6),
    "selection": ("score_threshold", 1.0),
}


@pytest.mark.tensorflow
def test_an_artifact_of_another_network_is_refused(model, tmp_path, monkeypatch, rng):
    served = instance_serving_model(model, model.preprocessing)

    def run(images):
        return keras.tree.map_structure(to_numpy, served(images))

    def run_wrong(images):
        with monkeypatch.context() as patch:
            patch.setattr(served.get_layer(name), *WRONG[name])
            return run(images)

    # In noise, masks change from pixel to pixel, so a shift by half a pixel is seen.
    batches = [rng.integers(0, 256, (1, *size, 3), "uint8") for size in ((50, 70), (64, 96))]
    assert compare_objects(served, run, batches) == (1, 0)
    for name in WRONG:
        share, _ = compare_objects(served, run_wrong, batches)
        assert share < LEAST_AGREEMENT["float32"], name
    monkeypatch.setattr(SavedModel, "write", lambda self, served, path, *others: path.mkdir())
    monkeypatch.setattr(SavedModel, "load", lambda self, path: run_wrong)
    with pytest.raises(RuntimeError, match=r"differs from the model in .* of the objects"):
        export_model(model, tmp_path / "wrong", images=IMAGES)
    assert not list(tmp_path.iterdir())


def found(scores=(0.9, 0.6, 0), classes=(1, 0, -1), shift=0.0):
    boxes = np.array([[[10, 10, 30, 30], [40, 20, 60, 50], [0] * 4]], "float32") + shift
    masks = np.tile(np.arange(4.0) > 1, (1, 3, 4, 1))
    scores, classes = np.array([scores], "float32"), np.array([classes], "int32")
    return {"boxes": boxes, "scores": scores, "classes": classes, "masks": masks}


@pytest.mark.tensorflow
def test_objects_are_compared_by_class_box_score_and_mask():
    want, images = found(), [np.zeros((1, 64, 64, 3), "uint8")]

    def share(**got):
        return compare_objects(lambda _: want, lambda _: {**want, **got}, images)[0]

    assert share() == 1
    # In another order they are the same objects.
    turned = {key: value[:, [1, 0, 2]] for key, value in want.items()}
    assert share(**turned) == 1
    assert share(**found(shift=0.2)) == 1
    assert share(**found(shift=3)) == 0
    assert share(**found(classes=(1, 2, -1))) == 0.5
    assert share(**found(classes=(1, -1, -1))) == 0.5
    assert share(**found(scores=(0.9, 0.5, 0))) == 0.5
    assert share(masks=~want["masks"]) == 0
    moved = found(scores=(0.9, 0.58, 0))
    assert compare_objects(lambda _: want, lambda _: moved, images)[1] == pytest.approx(
        0.02, abs=1e-5
    )
    # A box of 0.2 pixels that rounding moves by 0.011 pixels is the same object; a box beside it is
    # another.
    sliver = {**want, "boxes": np.array([[[0, 240.62, 320, 240.82], [0] * 4, [0] * 4]], "float32")}
    sliver["classes"] = np.array([[1, -1, -1]])
    for shift, equal in ((0.011, 1), (0.2, 0), (-0.2, 0)):
        rounded = {**sliver, "boxes": sliver["boxes"] + np.float32([0, shift, 0, shift])}
        assert compare_objects(lambda _: sliver, lambda _, got=rounded: got, images)[0] == equal
    with pytest.raises(RuntimeError, match=r"of shape \(1, 2, 4\), but the model returns \(1, 3"):
        share(boxes=want["boxes"][:, :2])
    with pytest.raises(RuntimeError, match="The scores of the artifact are not finite"):
        share(scores=want["scores"] * np.nan)
