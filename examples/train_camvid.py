"""Trains CANet on CamVid, evaluates it, draws predictions and exports it.

    python examples/train_camvid.py --data path/to/CamVid --backbone-weights mobilenet_v2.npz
    python examples/train_camvid.py --data generated          # road scenes drawn by the program

A run has a folder with its configuration, log, curves, checkpoints, predictions, metrics and
exported models. Stopped at any moment, it goes on where the same command is given with --resume.
"""

import argparse
import csv
import json
import os
import sys
import time
from pathlib import Path

import keras
import numpy as np

import keras_segattn
from keras_segattn.applications import CANet, canet
from keras_segattn.callbacks import AtomicCheckpoint, save_atomically
from keras_segattn.data import (
    CamVid,
    RandomScaleCropFlip,
    RoadScenes,
    evaluation_dataset,
    training_dataset,
)
from keras_segattn.export import export_model
from keras_segattn.losses import WeightedCrossEntropy
from keras_segattn.metrics import ConfusionMatrix, PixelAccuracy, scores
from keras_segattn.visualization import plot_history, plot_predictions

GENERATED = "generated"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", default=GENERATED, help="folder of CamVid, or 'generated' (default)")
    add("--backbone", default="mobilenet_v2", help="mobilenet_v2, resnet18 or resnet101")
    add("--backbone-weights", help="pretrained .weights.h5 or .npz of the backbone")
    add("--epochs", type=int, default=100)
    add("--batch-size", type=int, default=8)
    add("--learning-rate", type=float, default=1e-4, help="at the start (paper: 1e-4)")
    add("--weight-decay", type=float, default=1e-4, help="L2 in the gradient (paper: 1e-4)")
    add("--crop", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="default: the image size")
    add("--scale", type=float, nargs=2, default=[0.5, 2.0], metavar=("FROM", "TO"))
    add("--mixed-precision", choices=["float16", "bfloat16"])
    add("--scenes", type=int, default=160, help="number of generated training scenes")
    add("--seed", type=int, default=0)
    add("--run", type=Path, help="folder of the run (default: runs/camvid_BACKBONE)")
    add("--resume", action="store_true", help="go on from the last finished epoch of the run")
    formats = ["saved_model", "onnx"]
    add("--formats", nargs="*", choices=formats, default=formats, help="artefacts to export")
    arguments = parser.parse_args()
    if arguments.run is None:
        kind = "generated" if arguments.data == GENERATED else "camvid"
        arguments.run = Path("runs") / f"{kind}_{arguments.backbone}"
    if arguments.epochs < 1:
        parser.error(f"--epochs must be at least 1, not {arguments.epochs}")
    return arguments


def open_data(arguments):
    if arguments.data != GENERATED:
        return {split: CamVid(arguments.data, split) for split in ("train", "val", "test")}
    held_out = max(1, arguments.scenes // 4)
    counts = {"train": arguments.scenes, "val": held_out, "test": held_out}
    return {split: RoadScenes(split, n, seed=arguments.seed) for split, n in counts.items()}


def open_run(arguments):
    """Makes the folder of a new run, or checks that a resumed one was started like this."""
    settings = {k: v for k, v in vars(arguments).items() if k not in ("resume", "run", "formats")}
    path = arguments.run / "config.json"
    begun = AtomicCheckpoint.latest(arguments.run / "checkpoints")[0] is not None
    if begun and not arguments.resume:
        sys.exit(f"{arguments.run} holds a run. Go on with --resume, or choose another --run.")
    if begun:
        before = json.loads(path.read_text())["settings"]
        changed = [
            f"--{key.replace('_', '-')} was {before.get(key)}, is {value}"
            for key, value in settings.items()
            if before.get(key) != value
        ]
        if changed:
            sys.exit(f"--resume needs the settings {arguments.run} began with: {changed}")
        return
    arguments.run.mkdir(parents=True, exist_ok=True)
    config = {
        "settings": settings,
        "command": sys.argv,
        "backend": keras.backend.backend(),
        "versions": {
            "keras": keras.__version__,
            "keras_segattn": keras_segattn.__version__,
            "numpy": np.__version__,
        },
    }
    write_json(path, config)


def write_json(path, value):
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(temporary, path)


def build_model(arguments, data):
    model = CANet(
        backbone=arguments.backbone,
        classes=len(data.classes),
        backbone_weights=arguments.backbone_weights,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(arguments.learning_rate),
        loss=WeightedCrossEntropy(data.class_weights()),
        metrics=[
            keras.metrics.MeanIoU(
                len(data.classes), ignore_class=255, sparse_y_pred=False, name="mean_iou"
            ),
            PixelAccuracy(len(data.classes)),
        ],
    )
    return model


def add_weight_decay(model, decay):
    """Adds L2 to the gradient, as PyTorch's Adam does; Keras's own decay is that of AdamW."""
    for weight in model.trainable_weights:
        weight.regularizer = keras.regularizers.L2(decay / 2)


def truncate_log(path, epochs):
    """Drops the epochs of a log that no checkpoint has; returns the rows that are left."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    # A row that was cut off lacks its last values.
    rows = [row for row in rows if None not in row.values() and int(row["epoch"]) < epochs]
    if not rows:
        path.unlink()
        return []
    temporary = path.with_suffix(".part")
    with open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)
    return rows


def train(arguments, data):
    folder, log = arguments.run / "checkpoints", arguments.run / "log.csv"
    path, epochs_done = AtomicCheckpoint.latest(folder)
    rows = truncate_log(log, epochs_done)
    model = keras.saving.load_model(path) if path else build_model(arguments, data["train"])
    add_weight_decay(model, arguments.weight_decay)
    if epochs_done < arguments.epochs:
        crop = arguments.crop or data["train"].read(0)[1].shape
        batches = training_dataset(
            data["train"],
            arguments.batch_size,
            RandomScaleCropFlip(crop, arguments.scale),
            preprocess=canet.preprocess_input,
            seed=arguments.seed,
            first_epoch=epochs_done,
            cache=True,
        )
        model.fit(
            batches,
            steps_per_epoch=len(data["train"]) // arguments.batch_size,
            initial_epoch=epochs_done,
            epochs=arguments.epochs,
            validation_data=evaluation_dataset(data["val"], 1, canet.preprocess_input),
            callbacks=[
                keras.callbacks.LearningRateScheduler(
                    lambda epoch: arguments.learning_rate * (1 - epoch / arguments.epochs) ** 0.9
                ),
                keras.callbacks.TerminateOnNaN(),
                keras.callbacks.CSVLogger(log, append=True),
                AtomicCheckpoint(
                    folder, best=max((float(row["val_mean_iou"]) for row in rows), default=None)
                ),
            ],
            shuffle=False,  # the pipeline does it
            verbose="auto" if sys.stdout.isatty() else 2,
        )
    plot_history(log, arguments.run / "curves.png")
    return keras.saving.load_model(folder / "best.keras")


def evaluate(model, data):
    """Returns the scores of a model on every sample of a data set."""
    matrix = ConfusionMatrix(len(data.classes))
    progress = keras.utils.Progbar(len(data), unit_name="image")
    for images, masks in evaluation_dataset(data, 1, canet.preprocess_input):
        matrix.update_state(masks, model.predict_on_batch(images))
        progress.add(1)
    return scores(keras.ops.convert_to_numpy(matrix.result()), data.classes)


def draw(model, data, folder, count=4):
    folder.mkdir(exist_ok=True)
    chosen = np.linspace(0, len(data) - 1, min(count, len(data)), dtype=int)
    images, masks = zip(*(data.read(int(index)) for index in chosen), strict=True)
    predictions = [
        model.predict_on_batch(canet.preprocess_input(image[None])).argmax(-1)[0]
        for image in images
    ]
    path = folder / f"{data.split}.png"
    plot_predictions(path, images, masks, predictions, data.classes, data.palette)
    return path


def main():
    arguments = parse_arguments()
    if arguments.mixed_precision:
        keras.config.set_dtype_policy(f"mixed_{arguments.mixed_precision}")
    keras.utils.set_random_seed(arguments.seed)
    data = open_data(arguments)
    for split in ("val", "test"):
        # A wrong file is to be found now, not after the last epoch. Training reads its own first.
        for index in range(len(data[split])):
            data[split].read(index)
    open_run(arguments)
    model = train(arguments, data)
    save_atomically(model, arguments.run / "model.keras")

    # The best epoch was chosen on the validation set; the test set is read here, once.
    metrics = {}
    for split in ("val", "test"):
        print(f"evaluating on {split}")
        metrics[split] = evaluate(model, data[split])
        print("drawn:", draw(model, data[split], arguments.run / "predictions"))
    write_json(arguments.run / "metrics.json", metrics)
    for name, value in metrics["test"]["iou"].items():
        print(f"  {name:<12}", "-" if value is None else f"{100 * value:5.1f}")
    for split, result in metrics.items():
        print(
            f"{split}: mean IoU {100 * result['mean_iou']:.1f}, "
            f"pixel accuracy {100 * result['pixel_accuracy']:.1f}"
        )

    image, _ = data["test"].read(0)
    for name in arguments.formats:
        path = arguments.run / "export" / ("model.onnx" if name == "onnx" else name)
        print("exported", export_model(model, path, name, images=[image, image[1:, :-7]]))
    print("done:", arguments.run)


if __name__ == "__main__":
    start = time.time()
    main()
    print(f"{time.time() - start:.0f} s")
