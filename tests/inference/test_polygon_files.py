import json

import numpy as np
import pytest
from PIL import Image

from keras_segattn.data import COCOJSON
from keras_segattn.inference import Segmentation
from keras_segattn.inference.mask_files import pair_files, write_mask
from keras_segattn.inference.polygon_files import write_polygons

pytestmark = pytest.mark.once
pytest.importorskip("rasterio", reason="polygons need rasterio")


@pytest.fixture(params=["multiclass", "binary", "multilabel"])
def folder(request, tmp_path, rng):
    """Images, their masks, and the class maps that the masks were written from."""
    task, maps = request.param, {}
    for name in ("a.png", "b/c.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20)).save(tmp_path / "images" / name)
        shape = (20, 30, 2) if task == "multilabel" else (20, 30)
        maps[name] = rng.integers(0, 2, shape, dtype="uint8")
    pairs = pair_files(tmp_path / "images", tmp_path / "masks")
    for (image, mask), found in zip(pairs, maps.values(), strict=True):
        result = Segmentation(np.zeros((20, 30, 3), "uint8"), found, None, 2, task=task)
        write_mask(lambda _, result=result: result, image, mask)
    return task, pairs, tmp_path / "masks", maps


def test_one_coco_file_for_all(folder):
    pytest.importorskip("pycocotools", reason="COCO's polygons need pycocotools")
    task, pairs, results, maps = folder
    names = ["leaf"] if task == "binary" else ["leaf", "root"]
    (path,) = write_polygons("coco", pairs, results, names, task)
    background = "background" if task == "binary" else None
    data = COCOJSON(path, results.parent / "images", task=task, background=background or "none")
    for index, name in enumerate(maps):
        mask = data.read(index)[1]
        expected = maps[name]
        # Every pixel of several classes has one: the class "none" is empty.
        np.testing.assert_array_equal(mask, expected + 1 if task == "multiclass" else expected)
    assert json.loads(path.read_text())["images"][1]["file_name"] == "b/c.png"


def test_a_geojson_file_for_each(folder):
    task, pairs, results, _ = folder
    pairs[1][1].unlink()
    (path,) = write_polygons("geojson", pairs, results, ["x", "leaf"], task, ["leaf"], simplify=0)
    assert path == results / "a.png.geojson"
    found = json.loads(path.read_text())["features"]
    assert {f["properties"]["class"] for f in found} == {"leaf"}
    with pytest.raises(ValueError, match=r"`polygons` must be one of .* Received: 'svg'"):
        write_polygons("svg", pairs, results, ["x", "leaf"], task)
