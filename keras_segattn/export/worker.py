"""Writes an artifact from a saved serving model: `python -m keras_segattn.export.worker FOLDER`.

`export_model` runs it with the TensorFlow backend if the caller uses another backend.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

# These register layers of serving models.
import keras_segattn.detection.image_padding
import keras_segattn.export.likely_class_map
import keras_segattn.export.network_size  # noqa: F401
from keras_segattn.export.formats import FORMATS

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    calibration = None
    if (folder / "calibration.npz").exists():
        with np.load(folder / "calibration.npz") as arrays:
            calibration = list(arrays.values())
    FORMATS[job["format"]].write(
        keras.saving.load_model(folder / "serving.keras"),
        Path(job["artifact"]),
        job["metadata"],
        job["dtype"],
        calibration,
        **job["options"],
    )
