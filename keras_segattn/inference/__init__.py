"""From any image to its classes."""

from keras_segattn.inference.prediction import segment
from keras_segattn.inference.segmentation import Segmentation

__all__ = ["Segmentation", "segment"]
