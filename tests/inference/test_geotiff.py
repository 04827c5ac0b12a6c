"""Scenes of GeoTIFF: georeference, nodata, polygons, and memory."""

import json
import sys
import tracemalloc

import numpy as np
import pytest

from keras_segattn.inference import segment_geotiff
from tests.inference.brightest import Brightest
from tests.inference.cases import pixelwise

pytestmark = pytest.mark.once
rasterio = pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio")

UTM = rasterio.crs.CRS.from_epsg(32633)
NORTH_UP = rasterio.transform.Affine(10.0, 0.0, 500000.0, 0.0, -10.0, 5400000.0)


def write(path, array, **options):
    array = np.moveaxis(np.atleast_3d(array), -1, 0)
    georeference = {"crs": UTM, "transform": NORTH_UP}
    shape = {"count": len(array), "height": array.shape[1], "width": array.shape[2]}
    profile = {"driver": "GTiff", "dtype": array.dtype, **shape, **georeference, **options}
    with rasterio.open(path, "w", **profile) as file:
        file.write(array)
    return path


def read(path):
    with rasterio.open(path) as file:
        array = file.read()
    return array[0] if len(array) == 1 else np.moveaxis(array, 0, -1)


@pytest.fixture
def image(rng):
    small = rng.integers(0, 256, (20, 26, 3), dtype="uint8")
    return np.kron(small, np.ones((7, 6, 1), "uint8"))


def test_classes_and_georeference(image, tmp_path):
    source, target = write(tmp_path / "scene.tif", image), tmp_path / "classes.tif"
    model = Brightest(class_names=["red", "green", "blue"])
    done = []
    options = {"tile": (48, 64), "overlap": 0.3, "batch_size": 2, "progress": done.append}
    shares = segment_geotiff(model, source, target, **options)
    window = model.window((48, 64))
    expected = model.collect(image, model.bands_of(image, window, 0.3)).class_map
    np.testing.assert_array_equal(read(target), expected)
    assert shares == pytest.approx(
        dict(zip(model.class_names, np.bincount(expected.ravel()) / expected.size, strict=True))
    )
    assert done == sorted(done) and done[-1] == 1
    with rasterio.open(target) as file:
        assert (file.crs, file.transform, file.nodata) == (UTM, NORTH_UP, 255)
        assert json.loads(file.tags()["CLASS_NAMES"]) == ["red", "green", "blue"]
        assert file.colormap(1)[1][:3] == (128, 0, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.tif", "scene.tif"]


def test_a_keras_model_as_by_segment(image, tmp_path):
    source = write(tmp_path / "scene.tif", image)
    segment_geotiff(pixelwise(), source, tmp_path / "classes.tif", tile=64)
    np.testing.assert_array_equal(read(tmp_path / "classes.tif"), image.argmax(axis=-1))


@pytest.mark.parametrize("way", ["value", "alpha", "nan"])
def test_pixels_without_data_stay_so(way, image, tmp_path):
    missing = np.zeros(image.shape[:2], bool)
    missing[:70] = True  # a row of windows without any data
    missing[90:110, 20:30] = True
    model, options = Brightest(), {}
    if way == "value":
        array, options = image.astype("int16"), {"nodata": -999}
        array[missing] = -999
    elif way == "alpha":
        array = np.dstack([image, np.where(missing, 0, 255).astype("uint8")])
        options = {"photometric": "rgb", "alpha": "yes"}
    else:
        array = image.astype("float32") / 255
        array[missing, 1] = np.nan
    source = write(tmp_path / "scene.tif", array, **options)
    shares = segment_geotiff(model, source, tmp_path / "classes.tif", tile=48, overlap=0)
    found = read(tmp_path / "classes.tif")
    np.testing.assert_array_equal(found == 255, missing)
    np.testing.assert_array_equal(found[~missing], image.argmax(axis=-1)[~missing])
    assert sum(shares.values()) == pytest.approx(1)
    assert len(model.seen) == 2 * 4


def test_four_bands_of_16_bits_and_a_choice_of_them(rng, tmp_path):
    array = np.kron(rng.integers(100, 4000, (8, 9, 5)), np.ones((9, 9, 1))).astype("uint16")
    model = Brightest(4, value_range=(100.0, 4000.0))
    source = write(tmp_path / "scene.tif", array, nodata=0)
    with pytest.raises(ValueError, match=r"4 bands, but .* has 5 without alpha.*bands=\(1, 2, 3"):
        segment_geotiff(model, source, tmp_path / "classes.tif")
    segment_geotiff(model, source, tmp_path / "classes.tif", bands=(5, 3, 2, 1))
    expected = array[..., [4, 2, 1, 0]].argmax(axis=-1)
    np.testing.assert_array_equal(read(tmp_path / "classes.tif"), expected)
    with pytest.raises(ValueError, match=r"has the bands 1 to 5\. Received: bands=\(0, 1, 2, 3\)"):
        segment_geotiff(model, source, tmp_path / "classes.tif", bands=(0, 1, 2, 3))


def test_polygons_in_the_coordinates_of_the_scene(image, tmp_path):
    array = np.array(image)
    array[30:60, 30:90] = 0
    source, polygons = write(tmp_path / "scene.tif", array, nodata=0), tmp_path / "p.geojson"
    model = Brightest(class_names=["red", "green", "blue"])
    segment_geotiff(model, source, tmp_path / "classes.tif", tile=64, polygons=polygons)
    content = json.loads(polygons.read_text())
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    shapes = [(f["geometry"], f["properties"]["label"]) for f in content["features"]]
    drawn = rasterio.features.rasterize(
        shapes, image.shape[:2], fill=255, transform=NORTH_UP, dtype="uint8"
    )
    np.testing.assert_array_equal(drawn, read(tmp_path / "classes.tif"))
    options = {"polygons": polygons, "classes": ["blue"], "simplify": 3}
    segment_geotiff(model, source, tmp_path / "classes.tif", tile=64, **options)
    content = json.loads(polygons.read_text())
    assert {f["properties"]["class"] for f in content["features"]} == {"blue"}


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_tasks(task, image, tmp_path):
    model = Brightest(task=task, class_names=["a", "b", "c"] if task == "multilabel" else None)
    source, polygons = write(tmp_path / "scene.tif", image), tmp_path / "p.geojson"
    segment_geotiff(model, source, tmp_path / "classes.tif", polygons=polygons)
    expected = (image[..., : model.outputs] / 255 > 0.5).astype("uint8")
    np.testing.assert_array_equal(read(tmp_path / "classes.tif"), np.squeeze(expected))
    for label in range(model.outputs):
        shapes = [
            (f["geometry"], 1)
            for f in json.loads(polygons.read_text())["features"]
            if f["properties"]["label"] == (1 if task == "binary" else label)
        ]
        drawn = rasterio.features.rasterize(shapes, image.shape[:2], transform=NORTH_UP)
        np.testing.assert_array_equal(drawn, expected[..., label])


def test_memory_holds_a_row_of_windows(rng, tmp_path):
    array = np.kron(rng.integers(0, 256, (250, 40, 3), dtype="uint8"), np.ones((16, 8, 1), "uint8"))
    source = write(tmp_path / "scene.tif", array, tiled=True, blockxsize=64, blockysize=64)
    size = array.nbytes
    del array
    segment_geotiff(Brightest(), source, tmp_path / "classes.tif", tile=32)
    tracemalloc.start()
    segment_geotiff(Brightest(), source, tmp_path / "classes.tif", tile=32)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size / 4, (peak, size)


def test_what_is_refused(image, tmp_path, monkeypatch):
    source, target = write(tmp_path / "scene.tif", image), tmp_path / "classes.tif"
    target.write_bytes(b"old")
    (tmp_path / "scene.vrt").write_text("<VRTDataset/>")
    with pytest.raises(ValueError, match=r"scene\.vrt cannot be read as a GeoTIFF file"):
        segment_geotiff(Brightest(), tmp_path / "scene.vrt", target)
    with pytest.raises(FileNotFoundError, match=r"no file .*missing\.tif"):
        segment_geotiff(Brightest(), tmp_path / "missing.tif", target)
    with pytest.raises(ValueError, match="would replace the scene"):
        segment_geotiff(Brightest(), source, source)
    with pytest.raises(TypeError, match=r"a Keras model or a keras_segattn\.export\..*m\.onnx"):
        segment_geotiff("m.onnx", source, target)
    with pytest.raises(ValueError, match="exported model contains its threshold"):
        segment_geotiff(Brightest(), source, target, threshold=0.5)
    assert target.read_bytes() == b"old"
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(ImportError, match=r"rasterio: pip install 'keras-segattn\[geo\]'"):
        segment_geotiff(Brightest(), source, target)
