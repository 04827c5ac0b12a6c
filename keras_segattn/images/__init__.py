"""Reads images and masks: one reader for training, inference, exports and serving.

Requires NumPy, and Pillow for files, but no backend.
"""

from keras_segattn.images.coco_annotations import to_coco, write_coco
from keras_segattn.images.finding import find_images
from keras_segattn.images.formats import IMAGE_SUFFIXES, ImageFormatError, ImageSizeError
from keras_segattn.images.geojson import to_geojson
from keras_segattn.images.label_bits import pack_labels, unpack_labels
from keras_segattn.images.palette import default_palette
from keras_segattn.images.pixels import to_pixels, to_rgb, to_uint8
from keras_segattn.images.polygons import ClassPolygon, trace_polygons
from keras_segattn.images.reading import read_image
from keras_segattn.images.value_range import count_value_range, to_value_range

__all__ = [
    "IMAGE_SUFFIXES",
    "ClassPolygon",
    "ImageFormatError",
    "ImageSizeError",
    "count_value_range",
    "default_palette",
    "find_images",
    "pack_labels",
    "read_image",
    "to_coco",
    "to_geojson",
    "to_pixels",
    "to_rgb",
    "to_uint8",
    "to_value_range",
    "trace_polygons",
    "unpack_labels",
    "write_coco",
]
