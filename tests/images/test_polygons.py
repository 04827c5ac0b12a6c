"""Polygons drawn back give the same map."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from keras_segattn.data import COCOJSON
from keras_segattn.images import to_coco, to_geojson, trace_polygons, write_coco
from keras_segattn.inference import Segmentation

pytestmark = pytest.mark.once
features = pytest.importorskip("rasterio.features", reason="polygons need rasterio")


def blocks(rng, classes=4, size=(40, 56), side=4):
    """A map with holes, islands in them, and regions that touch at corners only."""
    small = rng.integers(0, classes, (size[0] // side, size[1] // side), dtype="uint8")
    class_map = np.kron(small, np.ones((side, side), "uint8"))
    class_map[5:20, 5:20] = 1
    class_map[8:16, 8:16] = 2
    class_map[10:13, 10:13] = 1
    return class_map


def drawn(collection, shape, fill=255):
    shapes = [(f["geometry"], f["properties"]["label"]) for f in collection["features"]]
    return features.rasterize(shapes, shape, fill=fill, dtype="uint8")


def test_geojson_drawn_back_is_the_same_map(rng):
    class_map = blocks(rng)
    class_map[30:33, :9] = 255
    found = json.loads(json.dumps(to_geojson(class_map, "abcd")))
    np.testing.assert_array_equal(drawn(found, class_map.shape), class_map)
    assert {f["properties"]["class"] for f in found["features"]} == set("abcd")


def test_coco_read_back_is_the_same_map(rng, tmp_path):
    pytest.importorskip("pycocotools", reason="COCO's polygons need pycocotools")
    class_map = blocks(rng)
    for name in ("a", "b"):
        Image.fromarray(np.zeros((*class_map.shape, 3), "uint8")).save(tmp_path / f"{name}.png")
    names = ["background", "car", "road", "tree"]
    maps = [("a.png", class_map), ("b.png", class_map[::-1])]
    write_coco(tmp_path / "regions.json", maps, names)
    data = COCOJSON(tmp_path / "regions.json", tmp_path)
    assert data.class_names == tuple(names)
    assert data.verify() == []
    for index, (_, expected) in enumerate(maps):
        np.testing.assert_array_equal(data.read(index)[1], expected)
    entries = json.loads((tmp_path / "regions.json").read_text())["annotations"]
    assert {type(entry["segmentation"]) for entry in entries} == {list, dict}
    assert [entry["id"] for entry in entries] == list(range(1, len(entries) + 1))
    of_first = [entry for entry in entries if entry["image_id"] == 1]
    assert sum(entry["area"] for entry in of_first) == np.count_nonzero(class_map)


def test_coordinates_are_pixel_edges_and_holes_are_rings():
    class_map = np.zeros((4, 5), "uint8")
    class_map[1:3, 1:4] = 1
    outer, inner = sorted(trace_polygons(class_map), key=lambda polygon: polygon.label)
    assert len(outer.rings) == 2
    assert outer.rings[0].min(axis=0).tolist() == [0, 0]
    assert outer.rings[0].max(axis=0).tolist() == [5, 4]
    for ring in (outer.rings[1], inner.rings[0]):
        assert (ring.min(axis=0).tolist(), ring.max(axis=0).tolist()) == ([1, 1], [4, 3])
    (annotation,) = to_coco(class_map, image_id=3, classes=[0])
    assert (annotation["area"], annotation["bbox"]) == (14, [0, 0, 5, 4])
    assert annotation["segmentation"]["counts"] == [0, 5, 2, 2, 2, 2, 2, 5]


def test_simplified_regions_keep_their_common_borders(rng):
    pytest.importorskip("shapely", reason="simplification needs shapely")
    # Many borders end within a straight part of the outline of a third class.
    fields = [ndimage.gaussian_filter(rng.normal(size=(80, 120)), 5) for _ in range(3)]
    class_map = np.argmax(fields, axis=0).astype("uint8")
    exact = to_geojson(class_map)["features"]
    found = to_geojson(class_map, simplify=4.0)
    points = [
        sum(len(r) for f in fs for r in f["geometry"]["coordinates"])
        for fs in (exact, found["features"])
    ]
    assert points[1] < points[0] / 5
    # Neither gaps nor overlaps.
    again = drawn(found, class_map.shape)
    assert 255 not in again
    assert np.mean(again == class_map) > 0.9
    areas = [entry["area"] for entry in to_coco(class_map, image_id=1, simplify=4.0)]
    assert sum(areas) == pytest.approx(class_map.size)


def test_several_labels_per_pixel(rng):
    class_map = (rng.random((20, 30, 3)) < 0.5).astype("uint8")
    for label in range(3):
        found = to_geojson(class_map, "abc", classes=["abc"[label]])
        there = drawn(found, (20, 30)) == label
        np.testing.assert_array_equal(there, class_map[..., label] == 1)


def test_background_is_left_out_and_classes_are_chosen(rng):
    class_map = blocks(rng)
    names = ("background", "car", "road", "tree")

    def labels(**options):
        found = to_geojson(class_map, names, **options)["features"]
        return {feature["properties"]["label"] for feature in found}

    assert labels() == {1, 2, 3}
    assert labels(classes=["background", 2]) == {0, 2}
    with pytest.raises(ValueError, match=r"labels or names of the classes .* Received: 'bus'"):
        labels(classes=["bus"])
    with pytest.raises(ValueError, match=r"float64 of shape \(2, 2\)"):
        to_geojson(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="`simplify` must be at least 0"):
        to_geojson(class_map, simplify=-1)


@pytest.mark.parametrize(("missing", "options"), [("rasterio", {}), ("shapely", {"simplify": 1})])
def test_missing_packages_are_named(missing, options, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"{missing}: pip install 'keras-segattn\[geo\]'"):
        to_geojson(np.zeros((2, 2), "uint8"), **options)


def test_polygons_of_a_result(rng):
    class_map = (rng.random((20, 30)) < 0.5).astype("uint8")
    result = Segmentation(class_map, class_map, None, 2, ("other", "leaf"), task="binary")
    found = result.to_geojson()
    np.testing.assert_array_equal(drawn(found, (20, 30), fill=0), class_map)
    assert {f["properties"]["class"] for f in found["features"]} == {"leaf"}
    assert {entry["category_id"] for entry in result.to_coco(image_id=1)} == {1}
    assert {f["properties"]["label"] for f in result.to_geojson([0])["features"]} == {0}
