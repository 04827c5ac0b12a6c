import keras
import numpy as np
import pytest

from keras_segattn.export import ExportedSegmenter, export_model, load_exported
from keras_segattn.images import to_pixels
from keras_segattn.inference import segment
from tests.export.cases import ColorPatches, color_network

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def artifact(color_artifact):
    return color_artifact("onnx")


@pytest.mark.parametrize("shape", [(64, 96, 3), (40, 51), (17, 90, 4), (1, 1, 3)])
def test_any_image_as_in_keras(artifact, rng, shape):
    image = rng.integers(0, 256, shape, dtype="uint8")
    # A fourth band that is opaque: alpha.
    if image.ndim == 3:
        image[..., 3:] = 255
    result = ExportedSegmenter(artifact, threads=1)(image)
    expected = segment(color_network(), image)
    np.testing.assert_array_equal(result.class_map, expected.class_map)
    assert result.class_map.dtype == "uint8"
    assert result.class_names == ["r", "g", "b"]
    assert result.overlay().shape == (*shape[:2], 3)
    np.testing.assert_array_equal(result.palette, expected.palette)


def test_fixed_size(tmp_path, artifact):
    path = tmp_path / "fixed.onnx"
    export_model(color_network(), path, "onnx", images=ColorPatches(), input_shape=(1, 128, None))
    image, mask = ColorPatches().read(3)
    result = ExportedSegmenter(path)(image)
    assert result.class_map.shape == (64, 96)
    assert np.mean(result.class_map == mask) > 0.9


def test_resized_to_a_fixed_size_as_in_keras(tmp_path, artifact, rng):
    path = tmp_path / "fixed.onnx"
    export_model(color_network(), path, "onnx", images=ColorPatches(), input_shape=(1, 64, 96))
    exported, seen = ExportedSegmenter(path), []
    run = exported._run
    exported._run = lambda images, timeout: seen.append(images) or run(images)
    for shape in ((150, 211, 3), (150, 40, 3), (33, 48)):
        image = rng.integers(0, 256, shape, dtype="uint8")
        assert exported(image).class_map.shape == shape[:2]
        pixels = keras.ops.image.resize(to_pixels(image, 3), (64, 96), data_format="channels_last")
        # Where the values are halves, rounding may go either way.
        np.testing.assert_allclose(seen[-1][0], keras.ops.convert_to_numpy(pixels), atol=0.501)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "probabilities"}, "returns probabilities"),
        ({"preprocessing": False}, "expects float32 images"),
        ({"input_shape": (2, None, None)}, "batches of 2"),
    ],
)
def test_artifacts_that_it_refuses(tmp_path, options, message):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    export_model(color_network(), path, "onnx", images=ColorPatches(), **options)
    with pytest.raises(ValueError, match=message):
        ExportedSegmenter(path)


@pytest.mark.parametrize("format", ["onnx", "litert", "openvino"])
def test_threads_and_timeout(format, color_artifact):
    image, _ = ColorPatches().read(0)
    one, free = (load_exported(color_artifact(format), threads) for threads in (1, None))
    expected = one(image[None])["class_map"]
    np.testing.assert_array_equal(free(image[None])["class_map"], expected)
    assert one.takes_timeout == (format != "litert")
    if not one.takes_timeout:
        with pytest.raises(ValueError, match="'litert' cannot abort a computation"):
            one(image[None], timeout=60.0)
        return
    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        one(np.tile(image, (1, 30, 30, 1)), timeout=0.01)
    # The runtime goes on to work.
    np.testing.assert_array_equal(one(image[None], timeout=60.0)["class_map"], expected)
