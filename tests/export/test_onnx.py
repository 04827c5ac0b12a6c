"""ONNX files."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import AttaNet, SegmentationModel
from keras_segattn.export import export_model, load_exported, read_metadata
from keras_segattn.export.onnx_metadata import read_properties
from keras_segattn.inference import segment
from keras_segattn.layers import ResizeLike, STDCBlock
from tests.export.cases import (
    PATHS,
    ColorPatches,
    color_network,
    expected,
    needs_runtime,
    resized_network,
    small_network,
)
from tests.training import randomize


# A file and a folder: other backends get them from a process of TensorFlow's.
@pytest.mark.parametrize("format", ["onnx", "saved_model"])
def test_every_backend_puts_the_size_of_the_network_inside(format, images, tmp_path):
    needs_runtime(format)
    path = tmp_path / PATHS[format]
    model = resized_network()
    export_model(model, path, format, network_size=(48, 64), images=images)
    for image in images:
        (found,) = load_exported(path)(image[None])["class_map"]
        # The artifact gives the same classes as the measured model.
        np.testing.assert_array_equal(found, segment(model, image, size=(48, 64)).class_map)


@pytest.mark.tensorflow
def test_onnx_takes_any_size_and_batch(model, images, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    report = export_model(model, path, "onnx", images=images)
    assert report.agreement >= 0.999
    assert report.largest_logit_difference < 1e-2
    assert "model.onnx: onnx, float32" in str(report)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (value,) = session.get_inputs()
    assert (value.name, value.type) == ("images", "tensor(uint8)")
    assert value.shape == ["batch", "height", "width", 3]
    operators = {node.domain for node in pytest.importorskip("onnx").load(path).graph.node}
    assert operators <= {"", "ai.onnx"}
    (value,) = session.get_outputs()
    assert (value.name, value.shape) == ("class_map", ["batch", "height", "width"])
    for image in images:
        got = session.run(["class_map"], {"images": np.stack([image, image[::-1]])})[0]
        assert got.shape == (2, *image.shape[:2])
        assert got.dtype == "uint8"
        assert np.mean(got[:1] == expected(model, image)) >= 0.999


@pytest.mark.tensorflow
def test_probabilities(images, tmp_path):
    needs_runtime("onnx")
    model = color_network()
    path = tmp_path / "m.onnx"
    export_model(model, path, "onnx", output="probabilities", images=images)
    got = load_exported(path)(images[0][None])["probabilities"]
    logits = model.predict(model.preprocessing(images[0][None]), verbose=0)
    np.testing.assert_allclose(got, keras.ops.softmax(logits), atol=1e-3)


@pytest.mark.tensorflow
def test_int8_of_fixed_size_in_openvino(tmp_path):
    openvino, path = pytest.importorskip("openvino"), tmp_path / "m.onnx"
    options = {"dtype": "int8", "images": ColorPatches(), "input_shape": (1, 64, 96)}
    export_model(color_network(), path, "onnx", **options)
    image = ColorPatches().read(0)[0][None]
    found = openvino.compile_model(path, "CPU")(image)["class_map"]
    assert np.mean(found == load_exported(path)(image)["class_map"]) > 0.98


@pytest.mark.tensorflow
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_onnx_pads_every_map_where_it_is_read(dtype, rng, tmp_path):
    onnx = pytest.importorskip("onnx")
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(3, 1)(STDCBlock(16, strides=2)(images))
    model = keras.Model(images, ResizeLike(name="logits")([x, images]))
    randomize(model, rng)
    path = tmp_path / "m.onnx"
    images = [rng.integers(0, 256, (9, 14, 3), dtype="uint8") for _ in range(4)]
    report = export_model(
        model, path, "onnx", preprocessing=False, images=images, dtype=dtype, least_agreement=0.9
    )
    assert report.largest_logit_difference < 1e-3 or dtype == "int8"
    graph = onnx.load(path).graph
    padded = [node.output[0] for node in graph.node if node.op_type == "Pad"]
    read = [name for node in graph.node for name in node.input]
    # Quantizing folds them.
    assert [read.count(name) for name in padded] == ([1, 1] if dtype == "float32" else [])


@pytest.mark.tensorflow
@pytest.mark.parametrize(("format", "opset"), [("onnx", 13), ("onnx", 18), ("onnx_cpu", 15)])
def test_versions_of_the_operators(format, opset, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "m.onnx"
    report = export_model(small_network(AttaNet), path, format, opset=opset)
    assert report.agreement >= 0.999
    (found,) = (entry for entry in onnx.load(path).opset_import if entry.domain in ("", "ai.onnx"))
    assert found.version == opset


@pytest.mark.tensorflow
def test_metadata_are_those_that_onnx_reads(color_artifact):
    onnx, path = pytest.importorskip("onnx"), color_artifact("onnx")
    metadata = read_properties(path)
    assert metadata == {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert read_metadata(path)["runtime"] == "onnxruntime"
    assert read_metadata(path)["classes"] == 3


@pytest.mark.tensorflow
def test_damaged_files_are_named(color_artifact, tmp_path):
    pytest.importorskip("onnx")
    path, content = tmp_path / "m.onnx", color_artifact("onnx").read_bytes()
    for damaged in (b"", content[:-7], b"\x7fELF" + content):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"m.onnx has no metadata of `export_model`, or"):
            read_metadata(path)


@pytest.mark.tensorflow
@pytest.mark.parametrize("format", ["onnx", "onnx_cpu"])
def test_maps_of_odd_sizes_are_reached_by_resizing(format, tmp_path):
    """12 rows become 23, for which the nearest float32 scale is too small."""
    image = keras.Input((None, None, 3))
    coarse, fine = (
        keras.layers.Conv2D(4, 3, strides=strides, padding="same")(image) for strides in (8, 4)
    )
    fused = keras.layers.Multiply()([ResizeLike()([coarse, fine]), fine])
    model = SegmentationModel(image, ResizeLike(name="logits")([fused, image]))
    shape = (1, 90, 120)
    export_model(model, tmp_path / "model.onnx", format, input_shape=shape)
    class_map = load_exported(tmp_path / "model.onnx")(np.zeros((*shape, 3), "uint8"))["class_map"]
    assert class_map.shape == shape
