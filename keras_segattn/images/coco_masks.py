"""Masks in the encoding of COCO's files, by pycocotools."""

import numpy as np


def encode_mask(mask):
    """Returns the compressed run lengths of a mask, as a dict that JSON can hold.

    Raises:
        ImportError: If pycocotools is not installed.
    """
    try:
        from pycocotools import mask as coco_mask
    except ImportError as error:
        raise ImportError(
            "pycocotools encodes COCO's masks: pip install 'keras-segattn[coco]'"
        ) from error
    code = coco_mask.encode(np.asfortranarray(mask, dtype="uint8"))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}
