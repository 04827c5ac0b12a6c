"""Every part of the package that takes an image file sees the same pixels."""

import io
import types

import keras
import numpy as np
import pytest
from PIL import Image

from keras_segattn.applications import SegmentationModel
from keras_segattn.data import SegmentationFolder
from keras_segattn.export import ExportedSegmenter, export_model
from keras_segattn.export.verification import input_batches
from keras_segattn.images import read_image, to_pixels
from keras_segattn.inference import segment
from keras_segattn.weights import Preprocessing
from tests.images.files import all_kinds

KINDS = all_kinds()


def by_data_set(path):
    return SegmentationFolder(path.parent, class_names=["thing"]).read(0)[0]


def by_segment(path):
    seen = []
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    segment(model, path, preprocessing=lambda pixels: seen.append(pixels) or pixels)
    return seen[0][0]


def by_calibration(path):
    served = types.SimpleNamespace(
        input_shape=(None, None, None, 3), input=types.SimpleNamespace(dtype="uint8")
    )
    compared, calibration = input_batches(served, [path], None)
    np.testing.assert_array_equal(compared[0], calibration[0])
    return compared[0][0]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """A network whose class is the red value of a pixel: its output shows its input."""
    pytest.importorskip("onnxruntime")
    image = keras.Input((None, None, 3))
    values = np.arange(256, dtype="float32")
    logits = keras.layers.Conv2D(256, 1, name="red")(image)
    identity = Preprocessing([0.0] * 3, [1 / 255] * 3)
    model = SegmentationModel(image, logits, preprocessing=identity)
    kernel = np.stack([2 * values, 0 * values, 0 * values])
    # The largest of `2 v x - v^2` is at the `v` nearest to `x`.
    model.get_layer("red").set_weights([kernel[None, None], -(values**2)])
    path = tmp_path_factory.mktemp("red") / "red.onnx"
    export_model(model, path, "onnx")
    return path


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", KINDS)
def test_an_artifact_sees_the_same_pixels(artifact, kind, tmp_path):
    suffix, content, _ = KINDS[kind]
    path = tmp_path / f"image{suffix}"
    path.write_bytes(content)
    seen = ExportedSegmenter(artifact, threads=1)(path).class_map
    np.testing.assert_array_equal(seen, np.rint(to_pixels(read_image(path), 3))[..., 0])


@pytest.mark.tensorflow
def test_an_artifact_takes_frames_of_opencv(artifact, rng):
    image = rng.integers(0, 256, (40, 48, 3), dtype="uint8")
    seen = ExportedSegmenter(artifact, threads=1)(image[..., ::-1], channel_order="BGR").class_map
    np.testing.assert_array_equal(seen, image[..., 0])


@pytest.fixture(scope="module")
def server(artifact):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    from keras_segattn.command import serve
    from keras_segattn.serving.server import Server

    limits = serve.parse_arguments([str(artifact)])
    return Server(ExportedSegmenter(artifact, threads=1), limits)


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", KINDS)
def test_the_server_sees_the_same_pixels(server, kind):
    _, content, _ = KINDS[kind]
    answer = server.compute(content, "png").body
    with Image.open(io.BytesIO(answer)) as labels:
        expected = np.rint(to_pixels(read_image(content), 3))[..., 0]
        np.testing.assert_array_equal(np.asarray(labels), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", [by_data_set, by_segment, by_calibration])
def test_every_reader_sees_the_same_pixels(reader, kind, tmp_path):
    suffix, content, expected = KINDS[kind]
    path = tmp_path / f"image{suffix}"
    path.write_bytes(content)
    read = to_pixels(read_image(path), 3)
    # JPEG and CMYK lose a little.
    np.testing.assert_allclose(read, expected, atol=6 if kind == "cmyk" else 0.01)
    seen = reader(path)
    # A data set and an artifact take whole numbers.
    np.testing.assert_allclose(seen, read, atol=0.5)
    if reader is not by_segment:
        np.testing.assert_array_equal(seen, np.rint(read))
