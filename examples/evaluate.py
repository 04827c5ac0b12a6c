"""Evaluates a trained model on a data set: a table per class, as JSON, and pictures.

    python examples/evaluate.py model.keras --dataset camvid --data path/to/CamVid --split test
    python examples/evaluate.py model.keras --dataset cityscapes --data path/to/cityscapes \\
        --recipe ccnet_cityscapes                        # as in the recipe's paper
    python examples/evaluate.py model.keras --dataset cityscapes --data path/to/cityscapes \\
        --size 512 1024 --scales 0.75 1 1.25 --flip      # or with other options
    python examples/evaluate.py model.keras --dataset cityscapes --data path/to/cityscapes \\
        --split test --recipe ccnet_cityscapes --submission results   # for the evaluation server
    python examples/evaluate.py model.keras --dataset cityscapes --data path/to/cityscapes \\
        --tile 769 769                                   # a sliding window, to save memory
"""

import argparse
import sys
from pathlib import Path

from keras_segattn import recipes
from keras_segattn.atomic_files import write_json
from keras_segattn.data import DATASETS
from keras_segattn.training import (
    draw_predictions,
    evaluate,
    has_labels,
    print_scores,
    write_submission,
)
from keras_segattn.weights import load_keras_model


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help=".keras file")
    parser.add_argument("--dataset", choices=DATASETS, required=True)
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("--split", default="val")
    add = parser.add_argument
    add(
        "--recipe",
        choices=recipes.RECIPES,
        metavar="NAME",
        help="evaluate as in the recipe's paper",
    )
    sides = {"type": int, "nargs": 2, "metavar": ("HEIGHT", "WIDTH")}
    add("--size", **sides, help="resize images to this size in the network")
    add(
        "--scales",
        type=float,
        nargs="+",
        metavar="SCALE",
        help="average over images at these scales",
    )
    add("--flip", action="store_true", help="average with the mirror image")
    add("--tile", **sides, help="slide a window over the image, to save memory")
    add(
        "--submission",
        type=Path,
        metavar="FOLDER",
        help="write files for the data set's evaluation server",
    )
    parser.add_argument("--output", type=Path, help="folder (default: beside the model)")
    arguments = parser.parse_args()

    options = dict(recipes.get(arguments.recipe).evaluation) if arguments.recipe else {}
    for name in ("size", "scales", "flip", "tile"):
        if getattr(arguments, name):
            options[name] = getattr(arguments, name)
    folder = arguments.output or Path(arguments.model).parent / f"evaluation_{arguments.split}"
    try:
        data = DATASETS[arguments.dataset](arguments.data, arguments.split)
        model = load_keras_model(arguments.model)
        if arguments.submission:
            written = write_submission(model, data, arguments.submission, **options)
            print(f"written: {len(written)} files in {arguments.submission}")
            if not has_labels(data):
                return
        result = evaluate(model, data, folder, **options)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print_scores(result)
    about = {"model": arguments.model, "dataset": arguments.dataset, "split": arguments.split}
    write_json(folder / "scores.json", {**about, **options, **result})
    draw_predictions(model, data, folder / "predictions.png", **options)
    print("written:", folder)


if __name__ == "__main__":
    main()
