"""Chooses the strength of `adjust_logits` on validation, and scores each network on test once.

    python -m benchmarks.camvid_scores runs/camvid_on_gpu/NAME.npz --data CamVid

Reads the files that benchmarks.camvid_on_gpu writes. Writes FOLDER/final/NAME.npz with its scores
beside it; the results are in benchmarks/camvid.md and, in the model cards, in docs/weights.md.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

from benchmarks.camvid_on_gpu import load_trained
from keras_segattn.data import CamVid
from keras_segattn.metrics import confusion_scores
from keras_segattn.training import adjust_logits, evaluate
from keras_segattn.weights.bundled import pack

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SCALES = (0.75, 1.0, 1.25)
BATCH_SIZE = 4


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="NAME.npz")
    parser.add_argument("--data", required=True, help="folder of CamVid")
    parser.add_argument("--scales", action="store_true", help="also average over scales, mirrored")
    arguments = parser.parse_args()
    train, val, test = (CamVid(arguments.data, split) for split in ("train", "val", "test"))
    weights = train.class_weights("enet")
    for path in arguments.files:
        model = load_trained(path, train)
        by_strength = validate(model, val, weights)
        strength = max(by_strength, key=by_strength.get)
        adjust_logits(model, weights, strength)
        card = {
            "strength": strength,
            "val": {"mean_iou": percent(by_strength[strength])},
            "val of each strength": {str(s): percent(iou) for s, iou in by_strength.items()},
            "test": rounded(evaluate(model, test)),
        }
        if arguments.scales:
            card["test, three scales and mirrored"] = rounded(
                evaluate(model, test, scales=SCALES, flip=True)
            )
        final = path.parent / "final"
        final.mkdir(exist_ok=True)
        pack(model, final / path.name, card)
        print(path.stem, card, flush=True)


def validate(model, data, class_weights):
    """Returns the mean IoU by strength."""
    classes = len(data.class_names)
    shift = np.log(class_weights)
    matrices = {strength: np.zeros((classes, classes)) for strength in STRENGTHS}
    for start in range(0, len(data), BATCH_SIZE):
        batch = [data.read(i) for i in range(start, min(start + BATCH_SIZE, len(data)))]
        images, masks = (np.stack(arrays) for arrays in zip(*batch, strict=True))
        logits = model.predict(np.array(model.preprocessing(images)), verbose=0)
        known = masks != data.ignore_class
        for strength, matrix in matrices.items():
            found = (logits - strength * shift).argmax(-1)
            cells = masks[known].astype(int) * classes + found[known]
            matrix += np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    return {s: confusion_scores(matrix)["mean_iou"] for s, matrix in matrices.items()}


def rounded(scores):
    iou = {name: percent(value) for name, value in scores["iou"].items()}
    return {
        "mean_iou": percent(scores["mean_iou"]),
        "pixel_accuracy": percent(scores["pixel_accuracy"]),
        "iou": iou,
    }


def percent(share):
    return round(100 * float(share), 1)


if __name__ == "__main__":
    main()
