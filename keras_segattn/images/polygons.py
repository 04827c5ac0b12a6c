"""The outlines of the regions of a class map."""

from typing import NamedTuple

import numpy as np

from keras_segattn.arguments import check_at_least
from keras_segattn.task import BACKGROUND
from keras_segattn.wording import counted

VOID = 255


class ClassPolygon(NamedTuple):
    """A connected region of one class.

    Attributes:
        label: Integer, the class.
        rings: Tuple of float64 arrays `(points, 2)` of `(x, y)`. Rings are closed: the last point
            repeats the first. The first ring is the outline; the others are holes.
    """

    label: int
    rings: tuple


def trace_polygons(class_map, classes=None, simplify=0.0):
    """Yields the regions of a class map as polygons along pixel edges.

    Pixel `(row, column)` is the square from `(x, y) = (column, row)` to `(column + 1, row + 1)`, so
    coordinates are integers from 0 to the width and height. Pixels that touch only at a corner
    belong to different regions. Without simplification, rasterizing the polygons restores the map.

    Args:
        class_map: Integer array `(height, width)` of labels; in uint8, 255 is void. Or array
            `(height, width, classes)` of 0 and 1; its labels are traced one by one.
        classes: Collection of the labels to trace. Defaults to `None`: all except void.
        simplify: Float, the simplification of outlines, in pixels: corners that span a triangle
            smaller than `simplify**2` are dropped. Shared borders stay shared, and the edge of the
            map stays. Defaults to `0`, exact outlines.

    Yields:
        A `ClassPolygon` per region.

    Raises:
        ImportError: If rasterio is not installed, or shapely with `simplify`.
        ValueError: If `simplify` is negative or `class_map` has another shape or dtype.

    Example:

    >>> class_map = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], "uint8")
    >>> ring, hole = next(p for p in trace_polygons(class_map) if p.label == 0).rings
    >>> hole.tolist()
    [[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0], [1.0, 1.0]]
    """
    class_map = np.asarray(class_map)
    check_at_least("simplify", simplify, 0)
    if class_map.ndim not in (2, 3) or class_map.dtype.kind not in "iub":
        raise ValueError(
            "A class map to trace must contain integers of shape (height, width) or (height, "
            "width, "
            f"classes). Received: {class_map.dtype} of shape {class_map.shape}"
        )
    if class_map.ndim == 2:
        void = VOID if class_map.dtype == "uint8" else None
        for polygon in trace(_as_traced(class_map), simplify):
            if polygon.label in classes if classes is not None else polygon.label != void:
                yield polygon
        return
    for label in range(class_map.shape[-1]) if classes is None else sorted(classes):
        plane = np.ascontiguousarray(class_map[..., label] == 1).astype("uint8")
        for polygon in trace(plane, simplify):
            if polygon.label == 1:
                yield polygon._replace(label=label)


def chosen_labels(class_map, class_names, classes):
    """Returns the labels of the classes to trace, or `None` for all."""
    if class_names is None:
        count = class_map.shape[-1] if class_map.ndim == 3 else None
    else:
        count = len(class_names)
    return labels_of(class_names, count, classes)


def labels_of(class_names, count, classes):
    """Returns the labels of `classes`, a collection of labels and names or `None`.

    Args:
        class_names: Sequence of one name per class, or `None`.
        count: Integer, the number of classes, or `None` if it is not known.
        classes: Collection of labels and names. `None` means all except the background.
    """
    names = list(class_names or ())
    if classes is None:
        if count is None:
            return None
        return [label for label in range(count) if names[label : label + 1] != [BACKGROUND]]
    if isinstance(classes, (str, int)):
        classes = [classes]
    labels = [names.index(entry) if entry in names else entry for entry in classes]
    for label in labels:
        if isinstance(label, str) or label < 0 or (count is not None and label >= count):
            known = "" if count is None else f" of {counted(count, 'class')}"
            of = f" of the classes {names}" if names else known
            raise ValueError(f"`classes` must be labels or names{of}. Received: {label!r}")
    return labels


def _as_traced(class_map):
    """Returns the map in a dtype that GDAL traces."""
    if class_map.dtype == bool:
        return class_map.astype("uint8")
    if class_map.dtype.name in ("uint8", "uint16", "int16", "int32"):
        return class_map
    return class_map.astype("int32")


def trace(labels, simplify=0.0):
    """Yields a `ClassPolygon` per region of a map, including void regions.

    Args:
        labels: Array of a dtype that GDAL traces, or a band of a rasterio data set.
        simplify: Float, as for `trace_polygons`.
    """
    try:
        from rasterio import features
    except ImportError as error:
        raise ImportError(
            "Tracing regions requires rasterio: pip install 'keras-segattn[geo]'"
        ) from error
    # GDAL returns the regions of a file in scene coordinates.
    transform = ~labels.ds.transform if hasattr(labels, "ds") else None
    polygons = (
        ClassPolygon(
            int(label), tuple(_in_pixels(ring, transform) for ring in geometry["coordinates"])
        )
        for geometry, label in features.shapes(labels, connectivity=4)
    )
    return _simplified(polygons, simplify) if simplify else polygons


def _in_pixels(ring, transform):
    points = np.array(ring)
    return points if transform is None else np.rint(apply_affine(points, transform))


def apply_affine(points, transform):
    """Applies a transform of the package `affine` to points `(count, 2)`."""
    matrix = np.array([[transform.a, transform.b], [transform.d, transform.e]])
    return points @ matrix.T + [transform.c, transform.f]


def _simplified(polygons, tolerance):
    """Jointly simplifies polygons that cover an area without gaps; see `trace_polygons`."""
    try:
        import shapely
    except ImportError as error:
        raise ImportError(
            "Simplifying outlines requires shapely: pip install 'keras-segattn[geo]'"
        ) from error
    polygons = list(polygons)
    shapes = [shapely.Polygon(polygon.rings[0], polygon.rings[1:]) for polygon in polygons]
    # A border is only simplified if both neighbors have the same points.
    covering = shapely.segmentize(shapes, 1.0)
    covering = shapely.coverage_simplify(covering, tolerance, simplify_boundary=False)
    for polygon, shape in zip(polygons, shapely.simplify(covering, 0), strict=True):
        rings = (shape.exterior, *shape.interiors)
        yield polygon._replace(rings=tuple(np.array(ring.coords) for ring in rings))
