"""From any image to its classes."""

from typing import TYPE_CHECKING

from keras_segattn.inference.segmentation import Segmentation
from keras_segattn.lazy import lazy_imports

if TYPE_CHECKING:
    from keras_segattn.inference.prediction import segment

__all__ = ["Segmentation", "segment"]
__getattr__ = lazy_imports(__name__, {"segment": "prediction"})
