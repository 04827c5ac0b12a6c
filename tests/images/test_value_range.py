"""Images of more than 8 bits: the same range of values in training, `segment` and artifacts."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_segattn import recipes
from keras_segattn.applications import SegmentationModel
from keras_segattn.data import RoadScenes, SegmentationFolder
from keras_segattn.export import ExportedSegmenter, export_model
from keras_segattn.images import (
    count_value_range,
    read_image,
    to_pixels,
    to_rgb,
    to_uint8,
    to_value_range,
)
from keras_segattn.inference import segment
from keras_segattn.training.build import build_model
from keras_segattn.training.checks import check_training
from keras_segattn.training.data_fingerprint import describe_data
from keras_segattn.training.options import TrainingOptions
from keras_segattn.weights import Preprocessing
from tests.images.files import png_of_16_bits

TWELVE_BITS = (0, 4095)


def ramp(dtype, low, high, bands=None):
    values = np.linspace(low, high, 40 * 48).astype(dtype).reshape(40, 48)
    return values if bands is None else np.stack([values] * bands, axis=-1)


def test_values_are_spread_over_0_to_255():
    image = np.array([[0, 1365, 4095, 9000]], "uint16")
    pixels = to_pixels(image, 1, TWELVE_BITS)
    assert pixels.dtype == "float32"
    np.testing.assert_allclose(pixels[0, :, 0], [0, 85, 255, 255])
    np.testing.assert_allclose(to_pixels(image, 3, TWELVE_BITS)[0, 1], [85] * 3)
    assert to_uint8(image, 1, TWELVE_BITS)[0, 1].tolist() == [85]
    assert to_rgb(image, TWELVE_BITS)[0, 1].tolist() == [85] * 3
    # Also for 8 bits: the requested range is applied.
    assert to_uint8(np.full((1, 1, 1), 100, "uint8"), 1, (50, 150)).item() == 128
    negative = np.array([[[-1000.0, 3000.0]]], "float32")
    bands = ((-1000, 1000), (0, 6000))
    np.testing.assert_allclose(to_pixels(negative[..., [0, 1]], 2, bands), [[[0, 127.5]]])
    four = np.concatenate([negative, negative], axis=-1)
    assert to_rgb(four, bands * 2).tolist() == [[[0, 128, 0]]]


@pytest.mark.parametrize(
    ("image", "value_range", "message"),
    [
        (np.full((1, 1, 1), np.nan), (0, 1), "NaN or infinite values. Replace them"),
        (np.zeros((1, 1, 4)), ((0, 1), (0, 2)), "is for 2 bands. Received an image with 4"),
        (np.full((1, 1, 1), 4000.0), None, "`value_range` to the .*values from 4000.0"),
    ],
)
def test_what_does_not_fit_a_range(image, value_range, message):
    with pytest.raises(ValueError, match=message):
        to_pixels(image, image.shape[-1], value_range)


def test_8_bits_with_a_range_of_more_are_told():
    colors = Image.fromarray(np.full((4, 4, 3), 15, "uint8"))
    with pytest.warns(UserWarning, match="values up to 255, but its value range goes to 4095"):
        to_pixels(read_image(colors), 3, TWELVE_BITS)


@pytest.mark.parametrize("value", [(4095, 0), 4095, (0, np.inf), "counted", [], ((0, 1, 2),)])
def test_what_is_no_range(value):
    with pytest.raises(ValueError, match=r"`value_range` must be \(low, high\), .* Received: "):
        to_value_range(value)


def test_a_range_is_counted_without_dead_and_hot_pixels(rng):
    image = rng.integers(100, 4000, (200, 200)).astype("uint16")
    image[0, :5], image[1, :5] = 0, 65535
    low, high = count_value_range([image, image])
    assert (low, high) == (pytest.approx(100, abs=10), pytest.approx(4000, abs=10))
    bands = np.stack([image, image // 8, image * 2, image], axis=-1)
    ranges = count_value_range([bands])
    assert [round(low, -2) for low, _ in ranges] == [100, 0, 200, 100]
    assert np.ndim(count_value_range([bands[..., :3]])) == 1
    holes = np.where(image > 3000, np.nan, image.astype("float32"))
    assert count_value_range([holes])[1] == pytest.approx(3000, abs=10)
    with pytest.raises(ValueError, match=r"bands: \[1, 4\]"):
        count_value_range([image, bands])
    with pytest.raises(ValueError, match=r"Received: \[5\.0, 5\.0\]"):
        count_value_range([np.full((4, 4), 5)])


def write(path, array):
    if path.suffix == ".png" and array.ndim == 3:
        path.write_bytes(png_of_16_bits(array))
    elif path.suffix == ".png":
        Image.fromarray(array).save(path)
    elif path.suffix == ".npy":
        np.save(path, array)
    else:
        pytest.importorskip("tifffile").imwrite(
            path,
            array,
            photometric="minisblack",
            planarconfig="contig" if array.ndim == 3 else None,
        )
    return path


FILES = {
    "12 bits": ("png", ramp("uint16", 0, 4095), TWELVE_BITS),
    "int16": ("tif", ramp("int16", -1000, 3000), (-1000, 3000)),
    "uint32": ("tif", ramp("uint32", 0, 10**6), (0, 10**6)),
    "float": ("tif", ramp("float32", -5, 20), (-5, 20)),
    "four bands": ("tif", ramp("uint16", 0, 9000, 4), ((0, 9000), (0, 4500), (0, 9000), (0, 1e5))),
    "RGB": ("png", ramp("uint16", 0, 4095, 3), TWELVE_BITS),
    "RGB array": ("npy", ramp("uint16", 0, 4095, 3), TWELVE_BITS),
}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """Networks by channels whose class is the value of the first band."""
    made = {}

    def make(channels, value_range):
        image = keras.Input((None, None, channels))
        values = np.arange(256, dtype="float32")
        model = SegmentationModel(
            image,
            keras.layers.Conv2D(256, 1, name="first")(image),
            preprocessing=Preprocessing(
                [0.0] * channels, [1 / 255] * channels, value_range=value_range
            ),
        )
        kernel = np.stack([2 * values] + [0 * values] * (channels - 1))
        model.get_layer("first").set_weights([kernel[None, None], -(values**2)])
        path = tmp_path_factory.mktemp("made") / "model.keras"
        model.save(path)
        return keras.saving.load_model(path)

    def find(*key):
        if key not in made:
            made[key] = make(*key)
        return made[key]

    return find


@pytest.mark.parametrize("name", FILES)
def test_training_and_segment_see_the_same(name, artifacts, tmp_path):
    suffix, image, value_range = FILES[name]
    channels = 1 if image.ndim == 2 else image.shape[-1]
    path = write(tmp_path / f"a.{suffix}", image)
    arguments = {"class_names": ["thing"], "channels": channels, "value_range": value_range}
    data = SegmentationFolder(tmp_path, **arguments)
    pixels, _ = data.read(0)
    assert pixels.dtype == "uint8"
    assert pixels.min() == 0
    assert pixels[..., 0].max() == 255
    model = artifacts(channels, to_value_range(value_range))
    assert model.preprocessing.value_range == to_value_range(value_range)
    result = segment(model, path)
    # Halves round to either side.
    assert np.abs(result.class_map.astype(int) - pixels[..., 0]).max() <= 1
    tiled = segment(model, path, tile=32)
    np.testing.assert_array_equal(tiled.class_map, result.class_map)
    assert result.overlay(0.0)[..., 0].max() == 255


@pytest.mark.tensorflow
def test_an_artifact_sees_the_same(artifacts, tmp_path):
    pytest.importorskip("onnxruntime")
    model = artifacts(1, TWELVE_BITS)
    image = FILES["12 bits"][1]
    report = export_model(model, tmp_path / "red.onnx", "onnx", images=[image])
    assert report.agreement == 1
    segmenter = ExportedSegmenter(tmp_path / "red.onnx")
    assert segmenter.value_range == TWELVE_BITS
    np.testing.assert_array_equal(
        segmenter(image).class_map, to_uint8(image, 1, TWELVE_BITS)[..., 0]
    )
    assert segmenter(image).overlay(0.0).max() == 255
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    from keras_segattn.command import serve
    from keras_segattn.serving import server as server_module

    path = write(tmp_path / "a.png", image)
    server = server_module.Server(segmenter, serve.parse_arguments([str(tmp_path / "red.onnx")]))
    opened = server.open(path.read_bytes())
    np.testing.assert_array_equal(segmenter(opened).class_map, segmenter(image).class_map)


def test_dark_data_are_told_and_their_range_is_counted(tmp_path):
    write(tmp_path / "a.png", FILES["12 bits"][1])
    data = SegmentationFolder(tmp_path, class_names=["thing"], channels=1)
    with pytest.warns(UserWarning, match=r"values up to 4095 of 65535: .* nearly black"):
        assert data.verify() == []
    assert data.read(0)[0].max() == 16
    counted = SegmentationFolder(tmp_path, class_names=["thing"], channels=1, value_range="count")
    assert counted.verify() == []
    assert counted.value_range == (pytest.approx(0, abs=10), pytest.approx(4095, abs=10))
    assert counted[:1].value_range == counted.value_range
    with pytest.raises(ValueError, match="must have the same `value_range`"):
        data + counted


def test_preprocessing_is_fitted_to_data(tmp_path):
    data = RoadScenes("train", 3, size=(32, 48))
    preprocessing = Preprocessing.fit(data)
    pixels = np.stack([image for image, _ in data]) / 255
    np.testing.assert_allclose(preprocessing.mean, pixels.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(preprocessing.std, pixels.std(axis=(0, 1, 2)))
    assert preprocessing.value_range is None
    write(tmp_path / "a.png", np.full((4, 4), 2048, "uint16"))
    flat = SegmentationFolder(tmp_path, class_names=["a"], channels=1, value_range=TWELVE_BITS)
    fitted = Preprocessing.fit(flat)
    assert fitted.value_range == TWELVE_BITS
    assert Preprocessing.from_config(fitted.get_config()) == fitted
    assert "value_range=(0.0, 4095.0)" in repr(fitted)
    assert fitted.for_channels(4).value_range == TWELVE_BITS
    assert fitted != fitted.with_value_range(None)


def test_recipes_keep_the_range_of_the_data():
    data = {split: RoadScenes(split, 4) for split in ("train", "val")}
    data["train"].value_range = data["val"].value_range = TWELVE_BITS
    recipe = recipes.get("attanet_light_cityscapes")
    model = build_model(recipe, data["train"])
    assert model.preprocessing.value_range == TWELVE_BITS
    assert describe_data(data["train"])["value range"] == TWELVE_BITS
    data["val"].value_range = None
    with pytest.raises(ValueError, match=r"different value ranges: .* and None"):
        check_training(recipe, data, TrainingOptions())
