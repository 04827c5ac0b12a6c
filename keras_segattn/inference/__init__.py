"""Segments any image into classes, or finds the objects in it."""

from typing import TYPE_CHECKING

from keras_segattn.inference.geotiff import segment_geotiff
from keras_segattn.inference.instances import Instances
from keras_segattn.inference.segmentation import Segmentation
from keras_segattn.inference.video import VideoReport, segment_video
from keras_segattn.lazy import lazy_imports

if TYPE_CHECKING:
    from keras_segattn.inference.instance_prediction import segment_instances
    from keras_segattn.inference.prediction import segment

__all__ = [
    "Instances",
    "Segmentation",
    "VideoReport",
    "segment",
    "segment_geotiff",
    "segment_instances",
    "segment_video",
]
__getattr__ = lazy_imports(
    __name__, {"segment": "prediction", "segment_instances": "instance_prediction"}
)
