"""Trains Mask R-CNN on drawn shapes, with and without attention, and judges it by pycocotools.

    python -m benchmarks.drawn_instances --attention criss_cross --epochs 30

It prints one line of JSON: average precision of boxes and masks as COCO has it.
"""

import argparse
import contextlib
import io
import json
import time

import keras
import numpy as np

from keras_segattn.applications import MaskRCNN
from keras_segattn.data import DrawnShapes
from keras_segattn.inference import segment_instances

# Half of COCO's, for images of 128x128.
ANCHORS = {"P2": 16, "P3": 32, "P4": 64, "P5": 128, "P6": 256}


def build(attention):
    """A Mask R-CNN that trains on a processor."""
    return MaskRCNN(
        backbone="resnet18",
        classes=3,
        attention=None if attention == "none" else attention,
        filters=48,
        units=128,
        proposals=100,
        training_proposals=200,
        sampled_boxes=32,
        detections=30,
        anchor_sizes=ANCHORS,
    )


def ground_truth(data):
    """The objects of a data set as pycocotools takes them."""
    from pycocotools import mask as coco_mask
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {
        "images": [
            {"id": i, "height": data.size(i)[0], "width": data.size(i)[1]} for i in range(len(data))
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(data.class_names)],
        "annotations": [],
    }
    for i in range(len(data)):
        _, objects = data.read(i)
        for box, label, mask in zip(*objects.values(), strict=True):
            x1, y1, x2, y2 = map(float, box)
            coco.dataset["annotations"].append(
                {
                    "id": len(coco.dataset["annotations"]) + 1,
                    "image_id": i,
                    "category_id": int(label),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": float(mask.sum()),
                    "iscrowd": 0,
                    "segmentation": coco_mask.encode(np.asfortranarray(mask, dtype="uint8")),
                }
            )
    coco.createIndex()
    return coco


def average_precision(model, data):
    """Average precision of boxes and of masks, over ten overlaps from 0.5 to 0.95."""
    from pycocotools.cocoeval import COCOeval

    truth = ground_truth(data)
    results = []
    for i in range(len(data)):
        results += segment_instances(model, data.read(i)[0], score_threshold=0).to_coco(i)
    scores = {}
    for kind, name in (("bbox", "box"), ("segm", "mask")):
        judge = COCOeval(truth, truth.loadRes(results), kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
        scores[name] = round(float(judge.stats[0]), 4)
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--attention", default="none", choices=("none", "criss_cross", "non_local"))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", help="write the trained network to this .keras file")
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    model = build(options.attention)
    model.class_names = DrawnShapes.class_names
    train = DrawnShapes("train", options.images).to_py_dataset(
        options.batch_size, True, model.preprocessing, most_objects=5
    )
    steps = options.epochs * len(range(options.batch_size, options.images + 1, options.batch_size))
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    model.compile(keras.optimizers.Adam(rate, clipnorm=5.0))
    start = time.time()
    history = model.fit(train, epochs=options.epochs, verbose=2).history
    minutes = (time.time() - start) / 60
    if options.save:
        model.save(options.save)
    with contextlib.redirect_stdout(io.StringIO()):
        scores = average_precision(model, DrawnShapes("val", 100))
    line = {"attention": options.attention, "epochs": options.epochs, **scores}
    line |= {"loss": round(history["loss"][-1], 3), "minutes": round(minutes, 1)}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
