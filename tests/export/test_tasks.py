"""Artifacts of binary and multilabel networks, and their results."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_segattn.applications import SegmentationModel
from keras_segattn.export import ExportedSegmenter, export_model, load_exported, read_metadata
from keras_segattn.export.onnx import ONNX
from keras_segattn.images import pack_labels, unpack_labels
from keras_segattn.inference import Segmentation, segment
from keras_segattn.inference.mask_files import write_mask
from keras_segattn.weights import Preprocessing
from tests.export.cases import PATHS, needs_runtime, resized_network


def network(task, activation=None, **arguments):
    """A network whose logits are from -4.5 to 4.5, by the colors of a pixel."""
    image = keras.Input((None, None, 3))
    channels = 1 if task == "binary" else 3
    outputs = keras.layers.Conv2D(channels, 1, activation=activation, name="classify")(image)
    model = SegmentationModel(
        image,
        outputs,
        task=task,
        preprocessing=Preprocessing([0.5] * 3, [1.0] * 3),
        class_names=["leaf"] if task == "binary" else ["red", "green", "blue"],
    )
    kernel = 9 * np.eye(3, channels)[None, None]
    model.get_layer("classify").set_weights([kernel, np.zeros(channels)])
    return model


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (48, 64, 3), dtype="uint8")


@pytest.mark.tensorflow
@pytest.mark.parametrize("format", PATHS)
def test_a_binary_artifact_has_its_threshold_inside(format, tmp_path, image):
    needs_runtime(format)
    path = tmp_path / PATHS[format]
    model = network("binary")
    report = export_model(model, path, format, threshold=0.2, images=[image])
    assert report.agreement > 0.999
    metadata = read_metadata(path)
    assert metadata["task"] == "binary"
    assert metadata["threshold"] == 0.2
    assert metadata["classes"] == 2
    assert metadata["class_names"] == ["background", "leaf"]
    found = ExportedSegmenter(path)(image)
    expected = segment(model, image, threshold=0.2)
    assert np.mean(found.class_map == expected.class_map) > 0.999
    assert 0.55 < found.class_map.mean() < 0.75
    assert found.shares().keys() == {"background", "leaf"}


@pytest.mark.tensorflow
@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_a_multilabel_artifact(activation, tmp_path, image):
    needs_runtime("onnx")
    path = tmp_path / "m.onnx"
    model, thresholds = network("multilabel", activation), [0.2, 0.5, 0.9]
    export_model(model, path, "onnx", threshold=thresholds, images=[image])
    assert read_metadata(path)["threshold"] == thresholds
    found = ExportedSegmenter(path)(image)
    expected = segment(model, image, threshold=thresholds)
    assert found.class_map.shape == (48, 64, 3)
    assert np.mean(found.class_map == expected.class_map) > 0.999
    assert found.task == "multilabel"
    assert found.overlay().shape == (48, 64, 3)
    export_model(model, path, "onnx", images=[image], input_shape=(1, 40, 40), threshold=thresholds)
    assert ExportedSegmenter(path)(image).class_map.shape == (48, 64, 3)


@pytest.mark.tensorflow
def test_probabilities_and_logits_of_sigmoids(tmp_path, image):
    needs_runtime("onnx")
    path, model = tmp_path / "m.onnx", network("binary")
    logits = model.predict(model.preprocessing(image[None]), verbose=0)
    for output, want in (("probabilities", 1 / (1 + np.exp(-logits))), ("logits", logits)):
        report = export_model(model, path, "onnx", output=output, images=[image])
        assert report.agreement > 0.999
        np.testing.assert_allclose(load_exported(path)(image[None])[output], want, atol=1e-4)


@pytest.mark.tensorflow
@pytest.mark.parametrize("output", ["probabilities", "logits", "class_map"])
def test_one_channel_keeps_its_dimensions(output, tmp_path, image, monkeypatch):
    """By chance, outputs have their names before tf2onnx makes shapes constant: here always."""
    needs_runtime("onnx")
    optimizers = pytest.importorskip("tf2onnx.optimizer")._optimizers
    monkeypatch.setattr(
        "tf2onnx.optimizer._optimizers",
        {"remove_identity": optimizers["remove_identity"], **optimizers},
    )
    export_model(network("binary"), tmp_path / "m.onnx", "onnx", output=output, images=[image])
    assert load_exported(tmp_path / "m.onnx")(image[None])["logits"].shape == (1, 48, 64, 1)


@pytest.mark.tensorflow
def test_an_artifact_of_other_classes_is_withdrawn(tmp_path, image, monkeypatch):
    """One channel has no argmax: the classes must be compared by the threshold."""
    needs_runtime("onnx")
    load = ONNX.load

    def load_opposite(*arguments):
        run = load(*arguments)

        def opposite(images):
            outputs = run(images)
            for name in outputs.keys() & {"class_map", "probabilities"}:
                outputs[name] = 1 - outputs[name]
            return outputs

        return opposite

    monkeypatch.setattr(ONNX, "load", load_opposite)
    for output in ("probabilities", "class_map"):
        with pytest.raises(RuntimeError, match=r"gives another class than the model for"):
            export_model(network("binary"), tmp_path / "m.onnx", "onnx", output=output)


@pytest.mark.tensorflow
def test_a_coarse_class_map_of_sigmoids(tmp_path, rng):
    needs_runtime("onnx")
    image = rng.integers(0, 256, (64, 96, 3), dtype="uint8")
    for task, classes in (("binary", None), ("multilabel", 3)):
        model = resized_network(classes or 1, task=task)
        path = tmp_path / f"{task}.onnx"
        export_model(model, path, "onnx", output="coarse_class_map", images=[image])
        found = ExportedSegmenter(path)(image).class_map
        fine = segment(model, image).class_map
        assert found.shape == fine.shape
        assert np.mean(found == fine) > 0.5


def test_bits_of_labels(rng):
    for classes, dtype in ((3, "uint8"), (8, "uint8"), (9, "uint16"), (16, "uint16")):
        labels = rng.integers(0, 2, (5, 6, classes)).astype("uint8")
        packed = pack_labels(labels)
        assert packed.dtype == dtype
        np.testing.assert_array_equal(unpack_labels(packed, classes), labels)
    with pytest.raises(ValueError, match=r"16 bits.*Received: 17 classes"):
        pack_labels(np.zeros((2, 2, 17)))
    with pytest.raises(ValueError, match=r"must be 0 and 1 of shape"):
        pack_labels(np.full((2, 2, 3), 255))
    with pytest.raises(ValueError, match=r"be for 2 classes, a number below 4. Received: 0 to 5"):
        unpack_labels(np.array([[0, 5]]), 2)


def test_files_of_masks(tmp_path, image):
    Image.fromarray(image).save(tmp_path / "street.png")
    for task in ("binary", "multilabel"):
        model, mask = network(task), tmp_path / f"{task}.png"
        write_mask(lambda path, m=model: segment(m, path), tmp_path / "street.png", mask, True)
        written = Image.open(mask)
        expected = segment(model, image)
        pixels = np.asarray(written)
        if task == "multilabel":
            np.testing.assert_array_equal(unpack_labels(pixels, 3), expected.class_map)
            colors = np.asarray(written.convert("RGB"))
            both = (pixels == 3).nonzero()
            mean = np.mean([expected.palette[0], expected.palette[1]], axis=0).astype(int)
            assert colors[both[0][0], both[1][0]].tolist() == mean.tolist()
        else:
            np.testing.assert_array_equal(pixels, expected.class_map)
        assert (tmp_path / "street.png.overlay.jpg").is_file()


def test_more_than_eight_classes_have_a_file_of_16_bits():
    labels = np.zeros((4, 4, 9), "uint8")
    labels[..., 8] = 1
    result = Segmentation(np.zeros((4, 4, 3), "uint8"), labels, None, 9, task="multilabel")
    assert np.asarray(result.label_image()).max() == 256
