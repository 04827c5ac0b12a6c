"""Evaluates a trained model on a data set: a table per class, as JSON, and pictures.

    python examples/evaluate.py model.keras --dataset camvid --data path/to/CamVid --split test
    python examples/evaluate.py model.keras --dataset cityscapes --data path/to/cityscapes \\
        --scales 0.75 1 1.25 1.5 1.75 2 --flip          # as CCNet's best results are measured
    python examples/evaluate.py model.keras --dataset cityscapes --data path/to/cityscapes \\
        --tile 769 769                                   # a sliding window, for little memory
"""

import argparse
import sys
from pathlib import Path

import keras

from keras_segattn.atomic_files import write_json
from keras_segattn.data import DATASETS
from keras_segattn.metrics import confusion_scores
from keras_segattn.training import count_confusions, draw_predictions, print_scores
from keras_segattn.visualization import plot_confusion_matrix


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help=".keras file")
    parser.add_argument("--dataset", choices=DATASETS, required=True)
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("--split", default="val")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0])
    parser.add_argument("--flip", action="store_true", help="average with the mirrored image")
    parser.add_argument("--tile", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--output", type=Path, help="folder (default: beside the model)")
    arguments = parser.parse_args()

    options = {"scales": arguments.scales, "flip": arguments.flip}
    if arguments.tile:
        options["tile"] = tuple(arguments.tile)
    try:
        data = DATASETS[arguments.dataset](arguments.data, arguments.split)
        model = keras.saving.load_model(arguments.model, compile=False)
        matrix = count_confusions(model, data, **options)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    result = confusion_scores(matrix, data.class_names)
    print_scores(result)

    folder = arguments.output or Path(arguments.model).parent / f"evaluation_{arguments.split}"
    folder.mkdir(parents=True, exist_ok=True)
    about = {"model": arguments.model, "dataset": arguments.dataset, "split": arguments.split}
    write_json(folder / "scores.json", {**about, **options, **result})
    plot_confusion_matrix(folder / "confusions.png", matrix, data.class_names)
    draw_predictions(model, data, folder / "predictions.png", **options)
    print("written:", folder)


if __name__ == "__main__":
    main()
