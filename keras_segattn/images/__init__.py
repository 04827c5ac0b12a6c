"""Reading images and masks: one reader for training, inference, exports and serving.

Needs NumPy, and Pillow for files; no backend.
"""

from keras_segattn.images.finding import find_images
from keras_segattn.images.formats import IMAGE_SUFFIXES, ImageFormatError, ImageSizeError
from keras_segattn.images.label_bits import pack_labels, unpack_labels
from keras_segattn.images.palette import default_palette
from keras_segattn.images.pixels import to_pixels, to_rgb, to_uint8
from keras_segattn.images.reading import read_image

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageFormatError",
    "ImageSizeError",
    "default_palette",
    "find_images",
    "pack_labels",
    "read_image",
    "to_pixels",
    "to_rgb",
    "to_uint8",
    "unpack_labels",
]
