"""From any image to its classes."""

from keras_segattn.inference.segment import segment
from keras_segattn.inference.segmentation import Segmentation

__all__ = ["Segmentation", "segment"]
