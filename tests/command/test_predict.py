"""`keras-segattn predict` of single files, and polygons."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_segattn.applications import SegmentationModel
from keras_segattn.command.main import main
from keras_segattn.command.predict_file import TILE
from tests.command.files import SCENES, save

pytestmark = pytest.mark.once


@pytest.fixture
def model(tmp_path):
    """Tells bright pixels from dark ones."""
    image = keras.Input((None, None, 3))
    kernel = keras.initializers.Constant(1.0)
    logits = keras.layers.Conv2D(1, 1, kernel_initializer=kernel)(image)
    network = SegmentationModel(
        image, logits, class_names=["dark", "bright"], task="binary", from_logits=True
    )
    network.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def photo(height=32, width=48):
    image = np.zeros((height, width, 3), "uint8")
    image[8:16, 10:30] = 255
    return image


def test_one_photo_and_its_polygons(model, tmp_path, capsys):
    pytest.importorskip("rasterio", reason="polygons need rasterio")
    save(photo(), tmp_path / "a.png")
    main(["predict", str(model), str(tmp_path / "a.png"), "--polygons"])
    results = tmp_path / "predicted" / "a"
    assert (np.asarray(Image.open(results / "a.png.png")) == (photo()[..., 0] > 0)).all()
    (feature,) = json.loads((results / "a.png.geojson").read_text())["features"]
    assert feature["properties"]["class"] == "bright"
    # Polygons of masks that are there already, in another format.
    main(["predict", str(model), str(tmp_path / "a.png"), "--polygons", "coco"])
    assert "1 of them already done" in capsys.readouterr().out
    content = json.loads((results / "annotations.coco.json").read_text())
    assert content["annotations"][0]["area"] == 8 * 20


def test_a_scene_keeps_its_georeference(model, tmp_path, capsys):
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio")
    transform = rasterio.transform.Affine(10.0, 0.0, 500000.0, 0.0, -10.0, 5400000.0)
    bands = np.moveaxis(photo(TILE + 20, TILE + 40), -1, 0)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "transform": transform}
    size = {"height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(tmp_path / "scene.tif", "w", **profile, **size, crs="EPSG:32633") as file:
        file.write(bands)
    main(["predict", str(model), str(tmp_path / "scene.tif"), str(tmp_path / "out"), "--polygons"])
    target = tmp_path / "out" / "scene_classes.tif"
    with rasterio.open(target) as file:
        assert file.transform == transform
        np.testing.assert_array_equal(file.read(1), bands[0] > 0)
    assert json.loads(target.with_suffix(".geojson").read_text())["features"]
    assert "bright 0.1 %" in capsys.readouterr().out


def test_a_video_gets_its_classes(model, tmp_path, capsys):
    av = pytest.importorskip("av", reason="videos need PyAV")
    with av.open(str(tmp_path / "drive.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(SCENES.read(0)[0], format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    main(["predict", str(model), str(tmp_path / "drive.mp4"), str(tmp_path / "classes.mp4")])
    assert (tmp_path / "classes.mp4").stat().st_size > 0
    assert "3 frames of 48x32" in capsys.readouterr().out


def test_what_cannot_be_predicted_is_told(model, tmp_path):
    for arguments, message in (
        ([tmp_path / "none", tmp_path], "is neither a run nor a model file"),
        ([model, tmp_path / "none.mp4"], "There is no file"),
        ([model, tmp_path / "none"], "There is no folder or list"),
    ):
        with pytest.raises(SystemExit, match=message):
            main(["predict", *map(str, arguments)])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "a.tif",
            ["--flip", "--overlay"],
            r"--flip, --overlay cannot be used with a GeoTIFF scene",
        ),
        ("a.mp4", ["--raw"], "--raw cannot be used with a video"),
    ],
)
def test_options_without_effect_are_refused(name, options, message, model, tmp_path):
    with pytest.raises(SystemExit, match=message):
        main(["predict", str(model), str(tmp_path / name), *options])


def test_a_file_of_others_is_not_replaced(model, tmp_path):
    mine = tmp_path / "mine.tif"
    mine.write_text("mine")
    with pytest.raises(SystemExit, match=r"mine\.tif already exists\. Move it away"):
        main(["predict", str(model), str(tmp_path / "a.tif"), str(mine)])
    assert mine.read_text() == "mine"
