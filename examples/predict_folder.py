"""Segments every image of a folder with a trained model.

    python examples/predict_folder.py model.keras photos/ classes/ --overlay --flip

For `photos/a/street.jpg` it writes `classes/a/street.jpg.png`, whose pixels are the labels drawn in
the palette of the model, and with --overlay `classes/a/street.jpg.overlay.jpg`. What is there
already is left out, so that the same command goes on where it was stopped; a file gets its name
when it is whole. A file that cannot be read is named at the end and does not stop the others; the
exit code is then 1.
"""

import argparse
import os
import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from keras_segattn.inference import segment
from keras_segattn.weights.preprocessing import IMAGENET

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", type=Path, help="a .keras file")
    add("images", type=Path, help="folder of images, searched with its subfolders")
    add("results", type=Path, help="folder to write")
    add("--tile", type=int, help="side of a sliding window, for large images")
    add("--scales", type=float, nargs="+", default=[1.0], help="averaged over (default: 1)")
    add("--flip", action="store_true", help="average with the mirror image")
    add("--overlay", action="store_true", help="draw the classes over the image, too")
    add(
        "--imagenet",
        action="store_true",
        help="preprocess with ImageNet's mean and deviation, for a model that does not know how",
    )
    return parser.parse_args(arguments)


def save(image, path, format):
    """Writes an image so that `path` holds the whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    image.save(temporary, format)
    os.replace(temporary, path)


def predict(model, path, target, arguments):
    result = segment(
        model,
        path,
        tile=arguments.tile,
        scales=arguments.scales,
        flip=arguments.flip,
        preprocess=IMAGENET if arguments.imagenet else None,
        keep_probabilities=False,
    )
    if arguments.overlay:
        overlay = Image.fromarray(result.overlay())
        save(overlay, target.with_name(f"{path.name}.overlay.jpg"), "JPEG")
    classes = Image.fromarray(result.class_map)
    if result.class_map.dtype == "uint8":
        classes.putpalette(np.array(result.palette, dtype="uint8").tobytes())
    # Last: it is what tells that the image is done.
    save(classes, target, "PNG")


def main(arguments=None):
    arguments = parse_arguments(arguments)
    if not arguments.images.is_dir():
        sys.exit(f"There is no folder {arguments.images}")
    paths = sorted(
        path
        for path in arguments.images.rglob("*")
        if path.suffix.lower() in SUFFIXES and arguments.results not in path.parents
    )
    targets = [
        arguments.results / path.relative_to(arguments.images).with_name(f"{path.name}.png")
        for path in paths
    ]
    todo = [pair for pair in zip(paths, targets, strict=True) if not pair[1].exists()]
    print(f"{len(paths)} images, {len(paths) - len(todo)} of them done before")
    if not todo:
        return
    model = keras.saving.load_model(arguments.model, compile=False)
    progress = keras.utils.Progbar(len(todo), unit_name="image")
    failed = []
    for path, target in todo:
        try:
            predict(model, path, target, arguments)
        except (OSError, ValueError) as error:
            failed.append(f"{path}: {error}")
        progress.add(1)
    if failed:
        sys.exit("\n".join([f"{len(failed)} images failed:", *failed]))


if __name__ == "__main__":
    main()
