"""Properties of every format."""

import sys

import keras
import numpy as np
import pytest

from keras_segattn.applications import AttaNet, CANet, SegmentationModel
from keras_segattn.export import export_model, load_exported, read_metadata
from keras_segattn.export.formats import FORMATS
from keras_segattn.layers import ResizeLike
from tests.export.cases import (
    NAMES,
    PALETTE,
    PATHS,
    ColorPatches,
    color_network,
    expected,
    needs_runtime,
    resized_network,
    small_network,
)

FREE = (None, None, None)


@pytest.mark.tensorflow
def test_every_format_has_a_case():
    # TensorRT needs a GPU of NVIDIA's, and has tests of its own.
    assert {*PATHS, "tensorrt"} == set(FORMATS)


@pytest.mark.tensorflow
@pytest.mark.parametrize("format", PATHS)
def test_a_model_is_traced_once(format, tmp_path, monkeypatch):
    """Tracing takes most of the time of an export."""
    needs_runtime(format)
    import tensorflow as tf
    from keras.src.backend.common.stateless_scope import in_stateless_scope

    traces, call = [], SegmentationModel.call

    def counted(*arguments, **options):
        # Keras infers shapes in functions, too.
        traces.append(tf.inside_function() and not in_stateless_scope())
        return call(*arguments, **options)

    monkeypatch.setattr(SegmentationModel, "call", counted)
    image = np.zeros((32, 48, 3), "uint8")
    export_model(resized_network(), tmp_path / PATHS[format], format, images=[image])
    assert sum(traces) == 1


def output_names(format, path):
    if format == "openvino":
        import openvino

        model = openvino.Core().read_model(path / "model.xml")
        return [value.get_any_name() for value in model.outputs]
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    assert len(interpreter.get_output_details()) == 1
    return interpreter.get_signature_list()["serving_default"]["outputs"]


@pytest.mark.tensorflow
@pytest.mark.parametrize("format", ["litert", "openvino"])
def test_other_runtimes_take_any_size_and_batch(format, model, images, tmp_path):
    needs_runtime(format)
    path = tmp_path / PATHS[format]
    report = export_model(model, path, format, images=images)
    assert report.agreement >= 0.999
    assert report.largest_logit_difference < 1e-2
    assert report.bytes > 1000
    assert output_names(format, path) == ["class_map"]
    run = load_exported(path)
    for image in images:
        outputs = run(np.stack([image, image[::-1]]))
        assert set(outputs) == {"class_map", "logits"}
        assert outputs["class_map"].dtype == "uint8"
        assert np.mean(outputs["class_map"][:1] == expected(model, image)) >= 0.999


@pytest.mark.tensorflow
@pytest.mark.parametrize("format", PATHS)
def test_artifacts_say_what_they_are(format, tmp_path):
    needs_runtime(format)
    model = color_network()
    model.class_names, model.palette = NAMES[:3], PALETTE[:3]
    path = tmp_path / PATHS[format]
    # All sizes fixed, logits out and preprocessing outside, here too.
    report = export_model(
        model, path, format, preprocessing=False, output="logits", input_shape=(2, 64, 96)
    )
    assert report.noise
    assert report.agreement >= 0.999
    assert "2 images of noise" in str(report)
    metadata = read_metadata(path)
    assert metadata["class_names"] == NAMES[:3]
    assert [tuple(color) for color in metadata["palette"]] == PALETTE[:3]
    assert metadata["preprocessing"] == {"inside": False, **model.preprocessing.get_config()}
    assert metadata["input"] == {"name": "images", "dtype": "float32", "shape": [2, 64, 96, 3]}
    assert (metadata["output"], metadata["dtype"]) == ("logits", "float32")
    images = np.random.default_rng(0).normal(size=(2, 64, 96, 3)).astype("float32")
    outputs = load_exported(path)(images)
    assert set(outputs) == {"logits"}
    np.testing.assert_allclose(
        outputs["logits"], model.predict(images, verbose=0), rtol=1e-3, atol=1e-2
    )


def resized(images, size):
    y = keras.ops.image.resize(images, size, data_format="channels_last")
    return keras.ops.convert_to_numpy(y)


@pytest.mark.tensorflow
@pytest.mark.parametrize("output", ["class_map", "coarse_class_map"])
@pytest.mark.parametrize("format", PATHS)
def test_the_network_works_at_a_size_of_its_own(format, output, tmp_path):
    """Images of any size in, a smaller size through the network, their own size out."""
    needs_runtime(format)
    # Coarse maps depend on the last layer only.
    model = small_network(AttaNet) if output == "class_map" else resized_network()
    path = tmp_path / PATHS[format]
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype="uint8")
    export_model(model, path, format, output=output, network_size=(48, 64), images=[image])
    assert read_metadata(path)["network_size"] == [48, 64]
    outputs = load_exported(path)(image[None])
    assert outputs["class_map"].shape == (1, 96, 128)
    if output == "class_map":
        small = resized(image[None].astype("float32"), (48, 64))
        logits = resized(model(model.preprocessing(small)), (96, 128))
        np.testing.assert_allclose(outputs["logits"], logits, rtol=1e-3, atol=1e-3)
        assert np.mean(outputs["class_map"][0] == logits[0].argmax(-1)) > 0.999
    else:
        assert outputs["logits"].shape == (1, 6, 8, 5)


@pytest.mark.tensorflow
@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("format", ["onnx", "onnx_cpu", "litert", "openvino"])
def test_smaller_numbers(format, dtype, tmp_path):
    needs_runtime(format)
    if (format, dtype) == ("openvino", "int8"):
        pytest.importorskip("nncf", reason="int8 for OpenVINO needs nncf")
    path = tmp_path / PATHS[format]
    arguments = {"dtype": dtype, "images": ColorPatches()}
    if (format, dtype) == ("litert", "int8"):
        with pytest.raises(ValueError, match="'litert' in int8 requires a fixed height and width"):
            export_model(color_network(), path, format, **arguments)
        arguments["input_shape"] = (None, 59, 89)
    report = export_model(color_network(), path, format, **arguments)
    assert report.agreement >= {"float16": 0.999, "int8": 0.97}[dtype]
    assert 0 < report.largest_logit_difference < {"float16": 0.02, "int8": 0.5}[dtype]
    assert (report.images, report.least_agreement) == (8, {"float16": 0.99, "int8": 0.95}[dtype])
    run = load_exported(path)
    for index in range(3):
        image, mask = ColorPatches().read(index)
        assert np.mean(run(image[None, 5:, 7:])["class_map"][0] == mask[5:, 7:]) > 0.9


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("make", "shape", "format"),
    [
        *((lambda: small_network(AttaNet), FREE, format) for format in PATHS),
        # Of one size, AttaNet is within `test_the_network_works_at_a_size_of_its_own`.
        *((resized_network, (1, 37, 61), format) for format in PATHS),
        # In the other formats the fixture `model` is CANet.
        (lambda: small_network(CANet), FREE, "onnx_cpu"),
    ],
)
def test_logits_are_resized_as_in_keras(make, shape, format, rng, tmp_path):
    needs_runtime(format)
    model = make()
    images = [rng.integers(0, 256, (37, 61, 3), dtype="uint8")]
    path = tmp_path / PATHS[format]
    report = export_model(model, path, format, output="logits", input_shape=shape, images=images)
    assert report.largest_logit_difference < 1e-4


@pytest.mark.tensorflow
@pytest.mark.parametrize("format", PATHS)
@pytest.mark.parametrize(
    ("source", "target", "align_corners", "doubled"),
    [
        ((6, 9), (12, 36), False, True),
        ((6, 9), (12, 36), True, False),
        ((6, 9), (12, 27), False, False),
        ((7, 9), (13, 18), False, False),
        # In float32 the 41st pixel of 82 lies left of the middle.
        ((2, 2), (82, 82), False, False),
    ],
)
def test_nearest_pixels_are_those_of_keras(
    format, source, target, align_corners, doubled, rng, tmp_path
):
    needs_runtime(format)
    images = keras.Input((*target, 3))
    strides = [round(large / small) for small, large in zip(source, target, strict=True)]
    x = keras.layers.Conv2D(5, 3, strides=strides, padding="same")(images)
    assert tuple(x.shape[1:3]) == source
    x = ResizeLike("nearest", align_corners, name="logits")([x, images])
    path = tmp_path / PATHS[format]
    pictures = [rng.integers(0, 256, (*target, 3), dtype="uint8")]
    report = export_model(
        keras.Model(images, x), path, format, preprocessing=False, images=pictures
    )
    assert report.agreement == 1
    assert report.largest_logit_difference < 1e-3
    if format.startswith("onnx"):
        operators = [node.op_type for node in pytest.importorskip("onnx").load(path).graph.node]
        assert ("Resize" in operators, "Gather" in operators) == (doubled, not doubled)


@pytest.mark.tensorflow
@pytest.mark.parametrize("format", PATHS)
def test_a_coarse_class_map_of_a_fixed_size(format, rng, tmp_path):
    needs_runtime(format)
    images = keras.Input((32, 48, 3))
    x = keras.layers.Conv2D(5, 3, strides=8, padding="same")(images)
    model = keras.Model(images, ResizeLike(name="logits")([x, images]))
    pictures = [rng.integers(0, 256, (32, 48, 3), dtype="uint8")]
    path = tmp_path / PATHS[format]
    report = export_model(
        model, path, format, output="coarse_class_map", preprocessing=False, images=pictures
    )
    assert report.agreement == 1


@pytest.mark.tensorflow
@pytest.mark.parametrize("format", PATHS)
def test_a_model_that_was_compiled_exports_and_stays_as_it_was(format, rng, tmp_path):
    needs_runtime(format)
    inside = color_network()
    images = keras.Input((None, None, 3))
    model = keras.Model(images, inside(images))
    for network in (inside, model):
        network.compile("adam", loss=lambda masks, logits: keras.ops.mean(logits))
    nodes = [len(layer._inbound_nodes) for layer in inside.layers]
    pictures = [rng.integers(0, 256, (32, 48, 3), dtype="uint8")]
    path = tmp_path / PATHS[format]
    report = export_model(model, path, format, preprocessing=False, images=pictures)
    assert report.agreement >= 0.999
    assert [len(layer._inbound_nodes) for layer in inside.layers] == nodes


@pytest.mark.tensorflow
def test_a_missing_package_names_its_extra(tmp_path, monkeypatch):
    needs_runtime("openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    message = r"Writing 'openvino' needs openvino: .* 'keras-segattn\[openvino,tensorflow\]'"
    with pytest.raises(ImportError, match=message):
        export_model(color_network(), tmp_path / "x", "openvino")
    (tmp_path / "model.xml").write_text("")
    message = r"Running 'openvino' needs openvino: pip install 'keras-segattn\[openvino\]'"
    with pytest.raises(ImportError, match=message):
        load_exported(tmp_path)


@pytest.mark.tensorflow
def test_what_is_no_artifact(tmp_path):
    with pytest.raises(FileNotFoundError, match="no artifact at"):
        load_exported(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="not an artifact in a known format"):
        load_exported(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="has no metadata of `export_model`"):
        read_metadata(tmp_path)
