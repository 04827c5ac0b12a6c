"""The regions of a class map as GeoJSON."""

from keras_segattn.images.polygons import chosen_labels, trace_polygons


def to_geojson(class_map, class_names=None, *, classes=None, simplify=0.0):
    """Returns the regions of a class map as GeoJSON, a dict of a `FeatureCollection`.

    Each region is a feature with the property `label` and, if there are names, `class`. Coordinates
    are in pixels with y downward, as in `trace_polygons`. For a GeoTIFF file,
    `keras_segattn.inference.segment_geotiff` uses the coordinates of its scene.

    Args:
        class_map: Array, as for `trace_polygons`.
        class_names: Sequence of one name per class. Defaults to `None`.
        classes: Collection of the labels or names to trace. Defaults to `None`: all except void and
            a class named `"background"`.
        simplify: Float, as for `trace_polygons`. Defaults to `0`.

    Example:

    >>> to_geojson(np.ones((2, 3), "uint8"), ["sky", "road"])["features"][0]["properties"]
    {'label': 1, 'class': 'road'}
    """
    labels = chosen_labels(class_map, class_names, classes)
    polygons = trace_polygons(class_map, labels, simplify)
    features = [geojson_feature(polygon, class_names) for polygon in polygons]
    return {"type": "FeatureCollection", "features": features}


def geojson_feature(polygon, class_names=None):
    """Returns a polygon as a GeoJSON feature."""
    properties = {"label": polygon.label}
    if class_names is not None and polygon.label < len(class_names):
        properties["class"] = class_names[polygon.label]
    return {"type": "Feature", "properties": properties, "geometry": to_geometry(polygon.rings)}


def to_geometry(rings):
    """Returns the rings of a polygon as a GeoJSON geometry."""
    return {"type": "Polygon", "coordinates": [ring.tolist() for ring in rings]}
