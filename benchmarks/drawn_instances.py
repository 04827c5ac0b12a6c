"""Trains Mask R-CNN on drawn shapes, with and without attention, and evaluates it with pycocotools.

    python -m benchmarks.drawn_instances --attention criss_cross --epochs 30
    python -m benchmarks.drawn_instances --attention criss_cross --load trained.keras \\
        --attention-picture docs/figures/mask_rcnn_attention.jpg

It prints one line of JSON: COCO's average precision of boxes and masks.
"""

import argparse
import json
import time

import keras
import numpy as np
from PIL import Image

from keras_segattn.applications import MaskRCNN
from keras_segattn.data import DrawnShapes
from keras_segattn.inference import segment_instances
from keras_segattn.training import evaluate_instances
from keras_segattn.visualization import model_attention, plot_attention

# Half of COCO's sizes, for images of 128x128.
ANCHORS = {"P2": 16, "P3": 32, "P4": 64, "P5": 128, "P6": 256}


def build(attention):
    """Returns a Mask R-CNN that is small enough for a CPU."""
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


def draw(model, path, count=4):
    """Writes some validation images with the objects found in them, side by side."""
    data = DrawnShapes("val", count)
    images = [data.read(index)[0] for index in range(count)]
    found = [segment_instances(model, image) for image in images]
    rows = [np.concatenate(parts, axis=1) for parts in (images, [f.overlay() for f in found])]
    picture = Image.fromarray(np.concatenate(rows))
    picture = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST)
    picture.save(path, quality=90)
    for objects in found:
        print(
            [
                (model.class_names[label], round(float(score), 2))
                for label, score in zip(objects.classes, objects.scores, strict=True)
            ]
        )


def draw_pictures(model, options):
    """Draws the requested pictures."""
    if options.picture:
        draw(model, options.picture)
    if options.attention_picture:
        draw_attention(model, options.attention_picture)


def draw_attention(model, path, index=1):
    """Draws the backbone's attention from the center of the best object in a validation image."""
    image, _ = DrawnShapes("val", index + 1).read(index)
    found = segment_instances(model, image)
    x1, y1, x2, y2 = found.boxes[0]
    pixel = int((y1 + y2) / 2), int((x1 + x2) / 2)
    maps = model_attention(model, image, pixel)
    plot_attention(path, found.overlay(), maps, pixel)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--attention", default="none", choices=("none", "criss_cross", "non_local"))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", help="write the trained network to this .keras file")
    parser.add_argument("--picture", help="draw its predictions for four images into this file")
    parser.add_argument("--attention-picture", help="draw an attention map into this file")
    parser.add_argument(
        "--load", help="draw with the network in this .keras file, without training"
    )
    options = parser.parse_args()
    if options.load:
        model = keras.saving.load_model(options.load)
        draw_pictures(model, options)
        return
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
    draw_pictures(model, options)
    scores = evaluate_instances(model, DrawnShapes("val", 100))
    scores = {kind: round(values["ap"], 4) for kind, values in scores.items()}
    line = {"attention": options.attention, "epochs": options.epochs, **scores}
    line |= {"loss": round(history["loss"][-1], 3), "minutes": round(minutes, 1)}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
