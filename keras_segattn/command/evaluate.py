"""Scores a trained network: a table per class, a CSV file per image, the worst and best images.

    keras-segattn evaluate runs/my_data             # on the run's own test images
    keras-segattn evaluate runs/my_data test/       # on other images, with masks or annotations
    keras-segattn evaluate model.keras test/ --scales 0.75 1 1.25 --flip
    keras-segattn evaluate runs/my_data --part val --threshold 0.3
    keras-segattn evaluate model.keras path/to/cityscapes --recipe ccnet_cityscapes  # as its paper
    keras-segattn evaluate model.keras path/to/cityscapes --part test --submission results

Writes scores.json, images.csv, confusions.png, worst.png, best.png and predictions.png. A network
that finds objects takes data in COCO's format and gets COCO's average precision in scores.json,
and pictures. `--submission` writes the files for the evaluation server of a public data set, which
keeps the labels of the test images.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from keras_segattn import recipes
from keras_segattn.applications import InstanceSegmentationModel
from keras_segattn.applications.logits import task_of
from keras_segattn.atomic_files import write_json
from keras_segattn.command import instances
from keras_segattn.command.configuration import FILE, read_configuration
from keras_segattn.command.data_source import PARTS
from keras_segattn.command.guess_data import OF_MASKS, guess_data
from keras_segattn.command.run_model import evaluation_of, load_model
from keras_segattn.data import DATASETS
from keras_segattn.training import (
    draw_predictions,
    evaluate,
    has_labels,
    print_scores,
    write_submission,
)
from keras_segattn.wording import counted

OPTIONS = ("size", "scales", "flip", "tile", "threshold")
# The files are read like the training data.
OF_TRAINING = (*OF_MASKS, "channels")


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog="keras-segattn evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", type=Path, help="folder of a run, or a .keras file")
    add("data", nargs="?", help="folder or annotation file (default: the data of the run)")
    add(
        "--part",
        choices=PARTS,
        help="part to score if the data are split (default: test, else val)",
    )
    sides = {"type": int, "nargs": 2, "metavar": ("HEIGHT", "WIDTH")}
    add(
        "--size", **sides, help="resize images to this size in the network (default: as in the run)"
    )
    add(
        "--scales",
        type=float,
        nargs="+",
        metavar="SCALE",
        help="average over images at these scales",
    )
    add("--flip", action="store_true", help="average with the mirror image")
    add("--tile", **sides, help="slide a window of this size over the image, to save memory")
    add("--threshold", type=float, nargs="+", help="threshold of a binary or multilabel network")
    recipe = "evaluate as in the recipe's paper"
    add("--recipe", choices=recipes.RECIPES, metavar="NAME", help=recipe)
    server = "write files for the data set's evaluation server"
    add("--submission", type=Path, metavar="FOLDER", help=server)
    add("--output", type=Path, help="folder to write (default: evaluation/NAME in the run)")
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    try:
        model = load_model(arguments.model)
        if isinstance(model, InstanceSegmentationModel):
            instances.evaluate(arguments, model)
            return
        data, name = open_data(arguments, model)
        if arguments.recipe:
            options = dict(recipes.get(arguments.recipe).evaluation)
        else:
            options = dict(evaluation_of(arguments.model))
        options.update({n: getattr(arguments, n) for n in OPTIONS if getattr(arguments, n)})
        if arguments.tile:
            options.pop("size", None)
        run = arguments.model if arguments.model.is_dir() else arguments.model.parent
        folder = arguments.output or run / "evaluation" / name
        if arguments.submission:
            written = write_submission(model, data, arguments.submission, **options)
            print(f"written: {counted(len(written), 'file')} in {arguments.submission}")
            if not has_labels(data):
                return
        result = evaluate(model, data, folder, best=8, **options)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    print_scores(result)
    write_json(folder / "scores.json", {"model": arguments.model, **options, **result})
    draw_predictions(model, data, folder / "predictions.png", **options)
    print("written:", folder)


def open_data(arguments, model):
    """Returns the data set to score and a name for it."""
    config = arguments.model / FILE
    if arguments.data is None and not config.is_file():
        raise ValueError(
            f"{arguments.model} is not a run, so its data are unknown. Pass the data after the "
            "model."
        )
    known = read_configuration(config).data if config.is_file() else None
    if arguments.data is None:
        parts = known.open()
        return _part(parts, arguments.part)
    # A plain Keras model has none of these.
    names = getattr(model, "class_names", None)
    names = None if names is None else list(names)
    masks_as = known if known is not None and known.kind == "folder" else None
    guess = guess_data(arguments.data, names, task_of(model), masks_as=masks_as)
    source = guess.source()
    if known is not None and known.kind == source.kind:
        source = dataclasses.replace(source, **{n: getattr(known, n) for n in OF_TRAINING})
    value_range = getattr(getattr(model, "preprocessing", None), "value_range", None)
    if value_range is not None:
        source = dataclasses.replace(source, value_range=value_range)
    print(*(f"  {line}" for line in guess.reasons), sep="\n")
    name = Path(arguments.data).resolve().stem
    if source.kind in DATASETS and arguments.part is not None:
        # Test images whose labels are kept by a server are no part of a training.
        data = DATASETS[source.kind](arguments.data, arguments.part)
        return data, f"{name}_{arguments.part}"
    if source.splits is None:
        return source.open_whole(), name
    parts = {part: source.open_part(part) for part in source.splits}
    data, part = _part(parts, arguments.part)
    return data, f"{name}_{part}"


def _part(parts, name):
    name = name or ("test" if "test" in parts else "val")
    if name not in parts:
        raise ValueError(f"The data have no part {name!r}. Pass one of {sorted(parts)} as --part.")
    return parts[name], name
