"""Segments many images with a trained model.

    python examples/predict_folder.py model.keras photos/ classes/ --overlay --flip

For `photos/a/street.jpg` it writes `classes/a/street.jpg.png`, whose pixels are the labels drawn in
the palette of the model, and with --overlay `classes/a/street.jpg.overlay.jpg`. What is there
already is left out, so that the same command goes on where it was stopped; a file gets its name
when it is whole. A file that cannot be read is named at the end, and in `classes/failed.txt`, and
does not stop the others; the exit code is then 1. `predict_ray.py` does the same with many
processes.
"""

import argparse
import functools
import sys
from pathlib import Path

import keras

from keras_segattn.inference import segment
from keras_segattn.inference.mask_files import (
    pair_files,
    remove_unfinished,
    report_failures,
    write_mask,
)
from keras_segattn.weights.preprocessing import IMAGENET


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", type=Path, help="a .keras file")
    add(
        "images", type=Path, help="folder, searched with its subfolders; or a file with their paths"
    )
    add("results", type=Path, help="folder to write")
    add("--tile", type=int, help="side of a sliding window, for large images")
    add("--scales", type=float, nargs="+", default=[1.0], help="averaged over (default: 1)")
    add("--flip", action="store_true", help="average with the mirror image")
    add("--overlay", action="store_true", help="draw the classes over the image, too")
    add("--raw", action="store_true", help="write labels as gray values, without the palette")
    add(
        "--imagenet",
        action="store_true",
        help="preprocess with ImageNet's mean and deviation, for a model that does not know how",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    try:
        pairs = pair_files(arguments.images, arguments.results)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    remove_unfinished(arguments.results)
    todo = [pair for pair in pairs if not pair[1].exists()]
    print(f"{len(pairs)} images, {len(pairs) - len(todo)} of them done before")
    if not todo:
        # Removes that of an earlier run.
        report_failures({}, arguments.results)
        return
    segment_file = functools.partial(
        segment,
        keras.saving.load_model(arguments.model, compile=False),
        tile=arguments.tile,
        scales=arguments.scales,
        flip=arguments.flip,
        preprocessing=IMAGENET if arguments.imagenet else None,
        keep_probabilities=False,
    )
    progress = keras.utils.Progbar(len(todo), unit_name="image")
    failures = {}
    for image, mask in todo:
        try:
            write_mask(segment_file, image, mask, arguments.overlay, arguments.raw)
        except (OSError, ValueError) as error:
            failures[str(image)] = error
        progress.add(1)
    failed = report_failures(failures, arguments.results)
    if failed:
        sys.exit(failed)


if __name__ == "__main__":
    main()
