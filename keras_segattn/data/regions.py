"""Image regions in annotation formats, and their pixels."""

from typing import NamedTuple

import numpy as np

# Tools round polygon corners to pixels, so corners may lie this far outside an image.
TOLERANCE = 1.0


class Region(NamedTuple):
    """An annotated region.

    Attributes:
        label: The label, as in the annotation format.
        kind: `"polygons"`, `"box"`, `"ellipse"`, `"mask"`, `"runs"`, `"coco_polygons"`, or the name
            of a shape that covers no pixels, such as a line.
        data: Data for the kind; see the functions of this module.
        where: Text that names the annotation.
    """

    label: object
    kind: str
    data: object
    where: str


def draw_region(region, size):
    """Returns the pixels of a region as a boolean array of shape `size`.

    Args:
        region: A `Region`.
        size: Tuple `(height, width)`.

    Raises:
        ValueError: If the region covers no pixels or lies outside; the message names it.
    """
    if region.kind not in DRAWING:
        raise ValueError(
            f"{region.where} is a {region.kind}, which covers no pixels. Remove it, or map its "
            "label to None with `label_map`."
        )
    try:
        return DRAWING[region.kind](region.data, size)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise ValueError(f"{region.where}: {error}") from error


def _polygons(rings, size):
    """`rings`: list of corners, each a sequence of `(x, y)`."""
    return _draw(size, [("polygon", _points(ring, size, 3)) for ring in rings])


def _box(corners, size):
    """`corners`: two opposite `(x, y)`."""
    corners = _points(corners, size, 2)
    return _draw(size, [("rectangle", [*corners.min(axis=0), *corners.max(axis=0)])])


def _ellipse(data, size):
    """`data`: center x, center y, radius in x, radius in y."""
    x, y, radius_x, radius_y = _finite(data)
    if radius_x <= 0 or radius_y <= 0:
        raise ValueError(f"the radii must be positive. Received: {radius_x}, {radius_y}")
    corners = np.clip([[x - radius_x, y - radius_y], [x + radius_x, y + radius_y]], -1e6, 1e6)
    return _draw(size, [("ellipse", corners.ravel().tolist())])


def _mask(data, size):
    """`data`: left, top, and a boolean array."""
    left, top, pixels = data
    height, width = pixels.shape
    drawn = np.zeros(size, dtype=bool)
    if left < 0 or top < 0 or top + height > size[0] or left + width > size[1]:
        raise ValueError(
            f"a mask of {height}x{width} pixels at row {top}, column {left} is not inside the "
            f"image of {size[0]}x{size[1]} (height x width)"
        )
    drawn[top : top + height, left : left + width] = pixels
    return drawn


def _runs(data, size):
    """`data`: arrays of the starts, from 0, and the lengths of runs down the columns."""
    starts, lengths = data
    pixels = size[0] * size[1]
    if len(starts) and (starts.min() < 0 or lengths.min() < 1):
        raise ValueError("runs start at pixel 1 and have at least 1 pixel")
    if len(starts) and (starts + lengths).max() > pixels:
        raise ValueError(
            f"a run ends at pixel {(starts + lengths).max()}, and the image has {pixels}"
        )
    changes = np.zeros(pixels + 1, dtype="int64")
    np.add.at(changes, starts, 1)
    np.add.at(changes, starts + lengths, -1)
    return (changes[:-1].cumsum() > 0).reshape(size[::-1]).T


def _coco_polygons(rings, size):
    """`rings`: list of polygons `[x1, y1, x2, y2, ...]`, drawn with COCO's own library."""
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        raise ImportError(
            "COCO polygons require pycocotools: pip install 'keras-segattn[coco]'"
        ) from error
    flat = []
    for ring in rings:
        if len(ring) % 2:
            raise ValueError(f"a polygon has pairs of x and y. Received {len(ring)} numbers")
        flat.append(_points(np.reshape(ring, (-1, 2)), size, 3).ravel().tolist())
    if not flat:
        raise ValueError("it has no polygon; a detection box is not a mask")
    return coco.decode(coco.merge(coco.frPyObjects(flat, *size))).astype(bool)


DRAWING = {
    "polygons": _polygons,
    "box": _box,
    "ellipse": _ellipse,
    "mask": _mask,
    "runs": _runs,
    "coco_polygons": _coco_polygons,
}


def _finite(values):
    array = np.asarray(values, dtype="float64")
    if not np.isfinite(array).all():
        raise ValueError("its coordinates must be finite numbers")
    return array


def _points(points, size, least):
    points = _finite(points)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < least:
        raise ValueError(f"it needs at least {least} points (x, y). Received: {points.tolist()}")
    beyond = (points < -TOLERANCE) | (points > np.array(size[::-1]) + TOLERANCE)
    if beyond.any():
        x, y = points[beyond.any(axis=1)][0].tolist()
        raise ValueError(
            f"the point x={x:g}, y={y:g} is outside the image of {size[0]}x{size[1]} (height x "
            "width)"
        )
    return points


def _draw(size, shapes):
    from PIL import Image, ImageDraw

    image = Image.new("L", size[::-1])
    draw = ImageDraw.Draw(image)
    for name, points in shapes:
        points = list(map(tuple, points)) if name == "polygon" else list(points)
        getattr(draw, name)(points, fill=1, outline=1)
    return np.asarray(image).astype(bool)
