import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_segattn.applications import AttaNet, CANet, SegmentationModel, canet
from keras_segattn.data import SegmentationDataset
from keras_segattn.export import export_model, load_exported, read_metadata
from keras_segattn.export.formats import FORMATS
from keras_segattn.export.serving_model import serving_model
from keras_segattn.layers import CrissCrossAttention, ResizeLike, STDCBlock
from keras_segattn.weights import Preprocessing
from tests.applications.cases import tiny_backbone
from tests.training import randomize

NAMES = ["road", "car", "tree", "sky", "person"]
PALETTE = [(128, 64, 128), (0, 0, 142), (107, 142, 35), (70, 130, 180), (220, 20, 60)]
PATHS = {
    "saved_model": "saved",
    "onnx": "m.onnx",
    "onnx_cpu": "cpu.onnx",
    "litert": "m.tflite",
    "openvino": "ov",
}


def needs_runtime(format):
    modules = {
        "onnx": "onnxruntime",
        "onnx_cpu": "onnxruntime",
        "litert": "ai_edge_litert",
        "openvino": "openvino",
    }
    if format in modules:
        pytest.importorskip(modules[format], reason=f"{format} needs {modules[format]}")


@pytest.fixture
def model(rng):
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    randomize(model, rng)
    model.class_names, model.palette = NAMES, PALETTE
    return model


@pytest.fixture
def images(rng):
    return [rng.integers(0, 256, (*size, 3), dtype="uint8") for size in ((45, 70), (64, 33))]


def expected(model, image):
    logits = model.predict(canet.preprocess_input(image[None]), verbose=0)
    return logits.argmax(-1)


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


SCRIPT = """
import json, sys
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
images = np.load(sys.argv[2])
maps, serve = {}, loaded.signatures
for name in images:
    batch = images[name][None]
    maps[name] = serve["serving_default"](images=tf.constant(batch))["class_map"].numpy()
    for encode in (tf.io.encode_png, tf.io.encode_jpeg):
        file = encode(batch[0]).numpy()
        if encode is tf.io.encode_jpeg:
            batch = tf.io.decode_image(file).numpy()[None]
        got = serve["serve_encoded"](image_bytes=tf.constant([file, file]))["class_map"].numpy()
        direct = serve["serving_default"](images=tf.constant(batch))["class_map"].numpy()
        assert got.shape == (2, *batch.shape[1:3]) and np.mean(got == direct) > 0.999
ours = [name for name in sys.modules if name.startswith("keras_segattn")]
assert not ours, ours
np.savez(sys.argv[2], **maps)
"""


def test_saved_model_runs_in_a_process_without_this_package(model, images, tmp_path):
    path, arrays = tmp_path / "saved", tmp_path / "arrays.npz"
    assert export_model(model, path, "saved_model", images=images).agreement >= 0.999
    np.savez(arrays, *images)
    command = [sys.executable, "-c", SCRIPT, str(path), str(arrays)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with np.load(arrays) as maps:
        for image, key in zip(images, maps, strict=True):
            assert np.mean(maps[key] == expected(model, image)) >= 0.999


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


@pytest.mark.tensorflow
def test_probabilities(images, tmp_path):
    needs_runtime("onnx")
    model = color_network()
    path = tmp_path / "m.onnx"
    export_model(model, path, "onnx", output="probabilities", images=images)
    got = load_exported(path)(images[0][None])["probabilities"]
    logits = model.predict(model.preprocessing(images[0][None]), verbose=0)
    np.testing.assert_allclose(got, keras.ops.softmax(logits), atol=1e-3)


def test_a_model_that_ends_in_a_softmax(rng):
    model = CANet(backbone=tiny_backbone(), classes=3, filters=16, classifier_activation="softmax")
    image = rng.integers(0, 256, (1, 40, 40, 3), dtype="uint8")
    served = serving_model(model, model.preprocessing, "probabilities")(image)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(served["probabilities"]),
        model.predict(model.preprocessing(image), verbose=0),
        atol=1e-5,
    )
    with pytest.raises(ValueError, match="returns probabilities and has no logits"):
        serving_model(model, model.preprocessing, "logits")


class ColorPatches(SegmentationDataset):
    """Patches of red, green and blue: what 8 bits cannot get wrong."""

    classes, palette = ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255))

    def __len__(self):
        return 12

    def read(self, index):
        rng = np.random.default_rng(index)
        mask = np.kron(rng.integers(0, 3, (4, 6)), np.ones((16, 16), int)).astype("uint8")
        image = 40 + 150 * np.eye(3)[mask] + rng.normal(0, 10, (*mask.shape, 3))
        return image.clip(0, 255).astype("uint8"), mask


def color_network():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="features")(image)
    x = keras.layers.AveragePooling2D(2)(x)
    # Computes with sizes where they are free, which 8 bits could not hold.
    x = ResizeLike()([keras.layers.Conv2D(3, 1, name="classify")(x), image])
    model = SegmentationModel(
        image, x, preprocessing=Preprocessing([0.5] * 3, [0.25] * 3), class_names="rgb"
    )
    kernel = np.random.default_rng(0).normal(0, 0.05, (3, 3, 3, 8))
    kernel[1, 1] += np.eye(3, 8)
    model.get_layer("features").kernel.assign(kernel)
    model.get_layer("classify").kernel.assign(4 * np.eye(8, 3)[None, None])
    return model


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
        with pytest.raises(ValueError, match="'litert' in int8 needs a fixed height and width"):
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


def test_int8_from_every_backend(tmp_path):
    needs_runtime("litert")
    path = tmp_path / "m.tflite"
    report = export_model(
        color_network(),
        path,
        "litert",
        dtype="int8",
        input_shape=(1, 48, 80),
        images=ColorPatches(),
    )
    assert report.agreement >= 0.97
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (image,), (class_map,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (image["shape"].tolist(), image["dtype"]) == ([1, 48, 80, 3], np.uint8)
    assert (class_map["shape"].tolist(), class_map["dtype"]) == ([1, 48, 80], np.uint8)
    kernels = [
        d["dtype"] for d in interpreter.get_tensor_details() if list(d["shape"][1:]) == [3, 3, 3]
    ]
    assert kernels == [np.int8]


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_exported_in_float32(dtype, images, rng):
    keras.config.set_dtype_policy(dtype)
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    randomize(model, rng)
    served = serving_model(model, canet.preprocess_input)
    policies = {layer.dtype_policy.name for layer in served.get_layer("canet")._flatten_layers()}
    assert policies == {"float32"}
    got = keras.ops.convert_to_numpy(served(images[0][None])["class_map"])
    assert np.mean(got == expected(model, images[0])) > 0.9


def tiny_attanet():
    return AttaNet(backbone=tiny_backbone(), classes=5, filters=16)


@pytest.mark.tensorflow
def test_a_coarse_class_map_is_that_of_the_decoder(images, tmp_path, rng):
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    randomize(model, rng)
    path = tmp_path / "m.onnx"
    export_model(model, path, "onnx", output="coarse_class_map", images=images)
    assert read_metadata(path)["resized"] == "class_map"
    (image,) = images[:1]
    (got,) = load_exported(path)(image[None])["class_map"]
    assert got.shape == image.shape[:2]
    coarse = keras.Model(model.input, model.get_layer("logits").input[0])
    inputs = canet.preprocess_input(image[None].astype("float32"))
    (expected,) = keras.ops.convert_to_numpy(coarse(inputs)).argmax(axis=-1)
    rows, columns = (
        np.arange(size) * coarse_size // size
        for size, coarse_size in zip(got.shape, expected.shape, strict=True)
    )
    assert np.mean(got == expected[rows][:, columns]) >= 0.999
    # Where the corners of logits and image coincide, those of the class map do as well.
    served = serving_model(tiny_attanet(), None, "coarse_class_map")
    outputs = served(rng.standard_normal((1, 65, 97, 3)).astype("float32"))
    fine = keras.ops.convert_to_numpy(outputs["class_map"])[0]
    coarse = keras.ops.convert_to_numpy(outputs["logits"]).argmax(axis=-1)[0]
    np.testing.assert_array_equal(fine[::8, ::8], coarse)
    with pytest.raises(ValueError, match="has no layer 'logits' that resizes them"):
        export_model(color_network(), tmp_path / "x.onnx", "onnx", output="coarse_class_map")


@pytest.mark.tensorflow
def test_an_artifact_that_disagrees_is_withdrawn(images, tmp_path, monkeypatch):
    model = color_network()
    target = FORMATS["onnx"]
    load = target.load
    monkeypatch.setattr(target, "load", lambda path: lambda batch: load(path)(batch[:, ::-1]))
    path = tmp_path / "model.onnx"
    export_model(model, path, "onnx", images=images, least_agreement=0.0)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="gives another class than the model"):
        export_model(model, path, "onnx", images=images)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]
    assert read_metadata(path)["network"] == model.name


@pytest.mark.tensorflow
def test_a_converter_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        raise NotImplementedError("no such operator")

    monkeypatch.setattr(FORMATS["saved_model"], "write", fail)
    with pytest.raises(RuntimeError, match="export to saved_model failed: no such operator"):
        export_model(color_network(), tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.once
@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("x", {"format": "tflite"}, r"'saved_model', 'onnx'.*Received: 'tflite'"),
        ("x", {"format": "tf_trt"}, "Export format='saved_model' and convert the folder"),
        ("x.onnx", {"format": "onnx", "opset": 19}, r"`opset of onnx` .*17, 18\). Received: 19"),
        ("x", {"opset": 17}, r"`opset of saved_model` must be one of \(None,\)"),
        ("x", {"dtype": "int8"}, r"`dtype of saved_model` must be one of \('float32',\)"),
        ("m.tflite", {"format": "onnx"}, r"written to a file that ends in .onnx. Received: path='"),
        ("m.xml", {"format": "openvino"}, "written to a folder"),
        ("x", {"output": "argmax"}, "must be one of.*Received: 'argmax'"),
        ("x", {"images": []}, "`images` is empty"),
        ("m.onnx", {"format": "onnx", "dtype": "int8"}, "int8 is calibrated with images"),
        ("x", {"input_shape": (64, 64)}, r"\(batch, height, width\).*Received: \(64, 64\)"),
    ],
)
def test_wrong_arguments(path, arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_model(color_network(), tmp_path / path, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.once
def test_a_model_that_lacks_preprocessing_or_has_fixed_sizes(tmp_path):
    image = keras.Input((40, 40, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    with pytest.raises(ValueError, match="does not know its preprocessing; pass `preprocessing`"):
        export_model(model, tmp_path / "x")
    with pytest.raises(ValueError, match=r"images of \(40, 40\) alone"):
        export_model(model, tmp_path / "x", preprocessing=False, input_shape=(1, 64, 64))


@pytest.mark.once
def test_tensorrt_says_what_is_missing_and_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    message = r"Missing: the Python package `tensorrt`.*trtexec --onnx=model.onnx.*images:1x64x64x3"
    with pytest.raises(RuntimeError, match=message):
        export_model(color_network(), tmp_path / "x", "tensorrt")


@pytest.mark.once
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


@pytest.mark.once
def test_what_is_no_artifact(tmp_path):
    with pytest.raises(FileNotFoundError, match="no artifact at"):
        load_exported(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="not an artifact of a known format"):
        load_exported(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="has no metadata of `export_model`"):
        read_metadata(tmp_path)


@pytest.mark.tensorflow
def test_command_line(tmp_path, capsys):
    needs_runtime("onnx")
    from keras_segattn.export.__main__ import main

    source = tmp_path / "model.keras"
    color_network().save(source)
    for index in range(2):
        Image.fromarray(ColorPatches().read(index)[0]).save(tmp_path / f"{index}.png")
    main(
        [
            str(source),
            "--format",
            "onnx",
            "--batch",
            "1",
            "--size",
            "40",
            "60",
            "--images",
            str(tmp_path),
        ]
    )
    assert "model.onnx: onnx, float32" in capsys.readouterr().out
    assert read_metadata(tmp_path / "model.onnx")["input"]["shape"] == [1, 40, 60, 3]
    for wrong, message in [
        ([str(tmp_path / "none.keras")], "error: There is no model .*none.keras"),
        ([str(source), "--images", str(tmp_path / "no")], "error: There is no file or folder"),
        ([str(source), "--dtype", "int8"], "error: `dtype of saved_model` must be one of"),
    ]:
        with pytest.raises(SystemExit, match=message):
            main(wrong)
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--format litert --dtype int8" in capsys.readouterr().out


def small_network(function, **arguments):
    backbone = {AttaNet: "light", CANet: tiny_backbone()}[function]
    return function(classes=5, backbone=backbone, **arguments)


@pytest.mark.tensorflow
@pytest.mark.parametrize("format", PATHS)
@pytest.mark.parametrize(
    ("function", "shape"),
    [(AttaNet, (None, None, None)), (AttaNet, (1, 37, 61)), (CANet, (None, None, None))],
)
def test_logits_are_resized_as_in_keras(function, shape, format, rng, tmp_path):
    needs_runtime(format)
    model = small_network(function)
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
@pytest.mark.parametrize("shape", [(None, None, None), (1, 37, 61)])
def test_onnx_for_processors_resizes_channels_last(shape, rng, tmp_path):
    onnx = pytest.importorskip("onnx")
    images = [rng.integers(0, 256, (37, 61, 3), dtype="uint8")]
    last = {}
    for format in ("onnx", "onnx_cpu"):
        path = tmp_path / f"{format}.onnx"
        report = export_model(
            small_network(AttaNet),
            path,
            format,
            output="logits",
            input_shape=shape,
            images=images,
        )
        assert report.largest_logit_difference < 1e-4
        *_, node = onnx.load(path).graph.node
        assert list(node.output) == ["logits"]
        last[format] = node.op_type
    assert last == {"onnx": "Transpose", "onnx_cpu": "Resize"}


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("format", "dtype", "rewritten"),
    [
        ("onnx", "float32", False),
        ("onnx_cpu", "float32", True),
        ("onnx_cpu", "float16", True),
        ("onnx_cpu", "int8", False),
    ],
)
def test_onnx_for_processors_has_fewer_products(format, dtype, rewritten, rng, tmp_path):
    onnx = pytest.importorskip("onnx")
    images = keras.Input((None, None, 3))
    # As in CCNet, attention after a convolution with channels first.
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(128, 3, padding="same")(x)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = CrissCrossAttention()(x)
    model = keras.Model(images, keras.layers.Conv2D(5, 1, name="logits")(x))
    model.layers[-2].gamma.assign([0.5])
    path = tmp_path / "m.onnx"
    pictures = [rng.integers(0, 256, (9, 14, 3), dtype="uint8") for _ in range(4)]
    arguments = {"dtype": dtype, "preprocessing": False, "least_agreement": 0.2}
    report = export_model(model, path, format, images=pictures, **arguments)
    graph = onnx.load(path).graph
    assert any("winograd" in node.name for node in graph.node) == rewritten
    assert any("by_columns" in node.name for node in graph.node) == (format == "onnx_cpu")
    assert {node.domain for node in graph.node} <= {"", "ai.onnx"}
    if dtype == "float32":
        assert report.largest_logit_difference < 1e-5
    elif rewritten:
        plain = export_model(model, tmp_path / "plain.onnx", "onnx", images=pictures, **arguments)
        assert report.largest_logit_difference < 2 * plain.largest_logit_difference


@pytest.mark.tensorflow
def test_onnx_for_processors_leaves_other_resizing_alone(rng, tmp_path):
    onnx = pytest.importorskip("onnx")
    images = keras.Input((16, 24, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(images)
    x = keras.layers.UpSampling2D(interpolation="bicubic")(x)
    model = keras.Model(images, keras.layers.Conv2D(5, 1)(x))
    pictures = [rng.integers(0, 256, (16, 24, 3), dtype="uint8")]
    path = tmp_path / "m.onnx"
    report = export_model(model, path, "onnx_cpu", preprocessing=False, images=pictures)
    assert report.agreement >= 0.999
    modes = [str(n.attribute) for n in onnx.load(path).graph.node if n.op_type == "Resize"]
    assert len(modes) == 1
    assert "cubic" in modes[0]


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
@pytest.mark.parametrize("format", PATHS)
def test_a_model_that_was_compiled_exports_and_stays_as_it_was(format, rng, tmp_path):
    needs_runtime(format)
    inside = small_network(AttaNet)
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
