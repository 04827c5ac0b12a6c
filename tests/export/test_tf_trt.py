"""The converter for TF-TRT, as far as it goes without TensorRT."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_segattn.export import export_model, tf_trt
from tests.export.cases import ColorPatches, color_network

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def saved(color_artifact):
    return color_artifact("saved_model")


def test_the_file_needs_nothing_of_this_package():
    imported = set()
    for node in ast.walk(ast.parse(Path(tf_trt.__file__).read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        imported |= {name.partition(".")[0] for name in names}
    assert imported - sys.stdlib_module_names == {"numpy", "tensorflow"}


def test_a_check_runs_and_freezes_the_model(saved, capsys):
    tf_trt.main([str(saved), "--check", "--shape", "1x40x60x3", "--shape", "2x33x33x3"])
    output = capsys.readouterr().out
    assert "[(1, 40, 60, 3), (2, 33, 33, 3)]" in output
    assert "operations" in output


def test_tensorrt_is_missing_here(saved, tmp_path):
    with pytest.raises(SystemExit, match=r"is built without TensorRT. Version 2.17 is the last"):
        tf_trt.main([str(saved), str(tmp_path / "converted"), "--shape", "1x40x60x3"])
    assert not list(tmp_path.iterdir())


def test_a_network_with_several_outputs_is_refused(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), "uint8", name="images")])
    def find(images):
        return {"boxes": images[:, 0, :, 0], "classes": images[:, 0, :, 1]}

    path = tmp_path / "saved"
    tf.saved_model.save(tf.Module(), str(path), signatures={"serving_default": find})
    with pytest.raises(SystemExit, match=r"one output .* CANet\..*saved returns boxes, classes\."):
        tf_trt.main([str(path), "--check"])


class Converter:
    """In the place of TensorFlow's: it copies the SavedModel of `source`."""

    source, calls = None, []

    def __init__(self, **options):
        self.calls.append(options)

    def convert(self):
        pass

    def build(self, batches):
        self.calls.append([tuple(batch["images"].shape) for batch in batches()])

    def summary(self, detailed):
        pass

    def save(self, path):
        import tensorflow as tf

        loaded = tf.saved_model.load(str(self.source))
        tf.saved_model.save(loaded, path, signatures=loaded.signatures["serving_default"])


@pytest.fixture
def converter(monkeypatch, saved):
    import tensorflow as tf

    monkeypatch.setattr(tf_trt, "check_tensorrt", lambda: None)
    monkeypatch.setattr(tf.experimental, "tensorrt", type("module", (), {"Converter": Converter}))
    Converter.source, Converter.calls = saved, []
    return Converter


def test_a_converted_model_is_compared_and_gets_its_metadata(saved, tmp_path, converter, capsys):
    from keras_segattn.export import load_exported, read_metadata

    path = tmp_path / "converted"
    tf_trt.main([str(saved), str(path)])
    options, shapes = converter.calls
    assert options["use_dynamic_shape"]
    assert options["precision_mode"] == "FP16"
    assert shapes == [(1, 256, 256, 3), (1, 1024, 1024, 3)]
    assert "at least 100.000% of the pixels as before" in capsys.readouterr().out
    assert [entry.name for entry in tmp_path.iterdir()] == ["converted"]
    assert read_metadata(path) == read_metadata(saved)
    image, _ = ColorPatches().read(0)
    np.testing.assert_array_equal(
        load_exported(path)(image[None])["class_map"],
        load_exported(saved)(image[None])["class_map"],
    )
    with pytest.raises(SystemExit, match="exists: pass another folder"):
        tf_trt.main([str(saved), str(path)])


def test_a_converted_model_that_disagrees_is_not_written(saved, tmp_path, converter):
    other = tmp_path / "other"
    model = color_network()
    layer = model.get_layer("classify")
    layer.kernel.assign(-np.array(layer.kernel))
    export_model(model, other, "saved_model", images=ColorPatches())
    converter.source = other
    path = tmp_path / "converted"
    with pytest.raises(SystemExit, match=r"agrees on .* it was not written"):
        tf_trt.main([str(saved), str(path), "--shape", "1x64x64x3"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--check"], "no SavedModel at nowhere"),
        (["{saved}", "--check", "--shape", "1x40x60x4"], r"None, None, None, 3\], not"),
    ],
)
def test_what_it_refuses(saved, arguments, message):
    with pytest.raises(SystemExit, match=message):
        tf_trt.main([argument.format(saved=saved) for argument in arguments])


@pytest.mark.parametrize("arguments", [["saved"], ["saved", "x", "--shape", "1x0x4x3"]])
def test_wrong_command_lines(arguments, capsys):
    with pytest.raises(SystemExit):
        tf_trt.parse_arguments(arguments)
    assert "error:" in capsys.readouterr().err
