"""Boxes: layers that propose, align and select a fixed number of them, on every backend.

Boxes are `(x1, y1, x2, y2)` in pixels, `"xyxy"` in `keras.utils.bounding_boxes`: the left, upper,
right and lower edge, so the width is `x2 - x1`.
"""

from keras_segattn.detection.box_coding import decode_boxes, encode_boxes
from keras_segattn.detection.non_maximum_suppression import NonMaximumSuppression
from keras_segattn.detection.region_proposal import RegionProposal
from keras_segattn.detection.roi_align import ROIAlign

__all__ = [
    "NonMaximumSuppression",
    "ROIAlign",
    "RegionProposal",
    "decode_boxes",
    "encode_boxes",
]
