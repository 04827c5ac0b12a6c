"""Segments GeoTIFF scenes of any size, one row of windows at a time."""

import json
import os
from pathlib import Path

import numpy as np

from keras_segattn.arguments import check_at_least
from keras_segattn.atomic_files import atomic_path
from keras_segattn.images.geojson import geojson_feature
from keras_segattn.images.palette import default_palette
from keras_segattn.images.polygons import apply_affine, labels_of, trace
from keras_segattn.inference.scene_rows import SceneRows
from keras_segattn.inference.segmenter import as_segmenter, check_overlap
from keras_segattn.task import count_labels

# GDAL's default block cache takes a fraction of the machine's memory.
CACHE_MEGABYTES = 64
BLOCK = 256


def segment_geotiff(
    model,
    source,
    target,
    *,
    tile=512,
    overlap=0.25,
    batch_size=1,
    bands=None,
    threshold=None,
    polygons=None,
    classes=None,
    simplify=0.0,
    progress=None,
):
    """Segments a GeoTIFF file to a GeoTIFF file of classes with the same georeference.

    Only one row of windows is in memory, whatever the height of the scene. Overlapping windows are
    blended, as in `segment`.

    Pixels without data have no class. The file's nodata value, mask or alpha band identifies them,
    or a value that is not finite. In the target, they have its nodata value: 255, or 65535 above
    255 classes. Windows without data are skipped.

    The target has one band of labels, with the class colors; for a multilabel model, it has one
    band of 0 and 1 per class. Its tag `CLASS_NAMES` is a JSON list.

    Args:
        model: A Keras model as for `segment`, or a `keras_segattn.export.ExportedSegmenter`.
        source: Path of a GeoTIFF file.
        target: Path of the GeoTIFF file to write. An existing file is replaced when the new one is
            complete.
        tile: The side, or `(height, width)`, of the window. Defaults to `512`.
        overlap: Float, at least 0 and below 1, the minimum overlap of neighboring windows as a
            fraction of a window. Defaults to `0.25`.
        batch_size: Integer, the number of windows per model call. Defaults to `1`.
        bands: Sequence of the model's input bands, counted from 1, such as `(4, 3, 2)`. Defaults to
            `None`: all bands except alpha.
        threshold: As for `segment`. Defaults to `None`.
        polygons: Path of an additional GeoJSON file to write, with the regions in scene
            coordinates. Its member `crs` names the reference system, as read by QGIS and GDAL.
            Defaults to `None`.
        classes: Collection of the labels or names of the classes that become polygons. Defaults to
            `None`: all except the background.
        simplify: Float, the simplification of outlines, in pixels, as for
            `keras_segattn.images.trace_polygons`. Defaults to `0`.
        progress: Callable that receives the fraction of finished rows, up to 1. Defaults to `None`.

    Returns:
        Dict of the share of each class among the pixels with data, as in `Segmentation.shares`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If rasterio is not installed.
        ValueError: If the file is not a GeoTIFF, its bands do not match the model, or an argument
            has a value not listed above.

    Example:

    ```python
    segment_geotiff(model, "scene.tif", "classes.tif", tile=512, polygons="classes.geojson")
    ```
    """
    rasterio = _rasterio()
    segmenter = as_segmenter(model, threshold)
    window = segmenter.window(tile)
    check_overlap(overlap)
    check_at_least("batch_size", batch_size, 1)
    check_at_least("simplify", simplify, 0)
    traced = _traced(segmenter, classes)
    counts, known = 0, 0
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MEGABYTES), _opened(rasterio, source) as scene:
        if os.path.exists(target) and os.path.samefile(source, target):
            raise ValueError(f"The target would replace the scene {source}: pass another path.")
        rows = SceneRows(scene, segmenter, bands)
        with atomic_path(target) as part:
            with rasterio.open(part, "w", **_profile(scene, segmenter)) as classified:
                _describe(classified, segmenter)
                for top, found, valid in rows.classified(window, overlap, batch_size):
                    counts = counts + _count(found[valid], segmenter)
                    known += np.count_nonzero(valid)
                    _write(classified, top, found, valid)
                    if progress is not None:
                        progress((top + len(found)) / scene.height)
            if polygons is not None:
                with rasterio.open(part) as classified:
                    _write_polygons(classified, polygons, segmenter, traced, simplify)
    names = segmenter.class_names or range(len(counts))
    return dict(zip(names, (counts / max(known, 1)).tolist(), strict=True))


def _rasterio():
    try:
        import rasterio
    except ImportError as error:
        raise ImportError(
            "GeoTIFF files require rasterio: pip install 'keras-segattn[geo]'"
        ) from error
    return rasterio


def _opened(rasterio, source):
    if not Path(source).is_file():
        raise FileNotFoundError(f"There is no file {source}")
    try:
        # Other drivers may read other files or the network.
        return rasterio.open(source, driver="GTiff")
    except rasterio.errors.RasterioIOError as error:
        raise ValueError(f"{source} cannot be read as a GeoTIFF file: {error}") from error


def _traced(segmenter, classes):
    if classes is None and segmenter.task == "binary":
        return [1]
    labels = count_labels(segmenter.task, segmenter.outputs)
    return labels_of(segmenter.class_names, labels, classes)


def _profile(scene, segmenter):
    wide = count_labels(segmenter.task, segmenter.outputs) > 255 and segmenter.task == "multiclass"
    georeference = {"crs": scene.crs, "transform": scene.transform}
    if scene.gcps[0]:
        georeference = {"gcps": scene.gcps[0], "crs": scene.gcps[1]}
    return {
        "driver": "GTiff",
        "height": scene.height,
        "width": scene.width,
        "count": segmenter.outputs if segmenter.task == "multilabel" else 1,
        "dtype": "uint16" if wide else "uint8",
        "nodata": 65535 if wide else 255,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "bigtiff": "if_safer",
        **georeference,
    }


def _describe(classified, segmenter):
    labels = count_labels(segmenter.task, segmenter.outputs)
    names = [str(name) for name in segmenter.class_names or range(labels)]
    classified.update_tags(CLASS_NAMES=json.dumps(names), TASK=segmenter.task)
    if segmenter.task == "multilabel":
        classified.descriptions = tuple(names)
    elif classified.dtypes[0] == "uint8":
        palette = segmenter.palette or default_palette(labels)
        colors = {label: (*color, 255) for label, color in enumerate(palette)}
        classified.write_colormap(1, colors | {255: (0, 0, 0, 0)})


def _count(found, segmenter):
    """Returns the number of pixels of each class among the pixels with data."""
    if segmenter.task == "multilabel":
        return found.sum(axis=0, dtype="int64")
    labels = count_labels(segmenter.task, segmenter.outputs)
    return np.bincount(found, minlength=labels)


def _write(classified, top, found, valid):
    found = found.astype(classified.dtypes[0])
    found[~valid] = classified.nodata
    planes = found[None] if found.ndim == 2 else np.moveaxis(found, -1, 0)
    classified.write(planes, window=((top, top + len(found)), (0, classified.width)))


def _write_polygons(classified, path, segmenter, traced, simplify):
    import rasterio

    head = {"type": "FeatureCollection", "features": []}
    if classified.crs is not None:
        code = classified.crs.to_epsg()
        name = f"urn:ogc:def:crs:EPSG::{code}" if code else classified.crs.to_wkt()
        head = {"type": "FeatureCollection", "crs": {"type": "name", "properties": {"name": name}}}
        head["features"] = []

    def features():
        for band in classified.indexes:
            for polygon in trace(rasterio.band(classified, band), simplify):
                if segmenter.task == "multilabel":
                    if polygon.label != 1:
                        continue
                    polygon = polygon._replace(label=band - 1)
                if polygon.label in traced:
                    rings = tuple(
                        apply_affine(ring, classified.transform) for ring in polygon.rings
                    )
                    yield geojson_feature(polygon._replace(rings=rings), segmenter.class_names)

    start, end = json.dumps(head)[:-2], "]}\n"
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(start)
        for number, feature in enumerate(features()):
            file.write(",\n" * (number > 0) + json.dumps(feature))
        file.write(end)
