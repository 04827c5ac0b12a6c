"""Throughput of the input pipeline, compared with a training step."""

import statistics
import tempfile
import time
from pathlib import Path

BATCH, CROP = 8, (240, 320)
BATCHES = 16


def pipeline(runs, log=print):
    """Returns images per second of the pipeline, from PNG files to batches, and of training.

    The files are drawn scenes of 360x480; the network is CANet MobileNetV2, as in
    CamVid's recipe. The two are measured in turns. The pipeline restarts in each turn, and its
    start counts; otherwise, it would read ahead during the training step.
    """
    import keras
    import numpy as np
    from PIL import Image

    from benchmarks.backends import keras_step
    from benchmarks.subjects import build
    from keras_segattn.data import RandomScaleCropFlip, RoadScenes, SegmentationFolder

    drawn = RoadScenes("train", 32, size=(360, 480))
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("images", "masks"):
            (Path(folder) / kind).mkdir()
        for index in range(len(drawn)):
            image, mask = drawn.read(index)
            Image.fromarray(image).save(Path(folder) / "images" / f"{index}.png")
            Image.fromarray(mask.astype(np.uint8)).save(Path(folder) / "masks" / f"{index}.png")
        data = SegmentationFolder(
            Path(folder) / "images", Path(folder) / "masks", class_names=drawn.class_names
        )
        augmentation = RandomScaleCropFlip(CROP)
        batches = data.to_tf_dataset(BATCH, training=True, augmentation=augmentation).repeat()
        shape = (BATCH, *CROP, 3)
        model = build("CANet MobileNetV2", [shape])
        step = keras_step(model, [shape], {"engine": "tensorflow", "training": True})
        step()
        made, trained = [], []
        for _ in range(runs):
            begin = time.perf_counter()
            count = sum(len(images) for images, _ in batches.take(BATCHES))
            made.append(count / (time.perf_counter() - begin))
            begin = time.perf_counter()
            step()
            trained.append(BATCH / (time.perf_counter() - begin))
    result = {
        "pipeline": statistics.median(made),
        "step": statistics.median(trained),
        "backend": keras.backend.backend(),
    }
    log(result)
    return result
