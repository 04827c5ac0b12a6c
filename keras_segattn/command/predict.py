"""Segments many images with a trained network.

    keras-segattn predict runs/my_data photos/ --overlay --polygons
    keras-segattn predict model.keras photos/ classes/ --tile 512 --flip
    keras-segattn predict runs/my_data scene.tif classes.tif --tile 1024 --polygons
    keras-segattn predict runs/my_data drive.mp4 classes.mp4 --smoothing 0.6

For `photos/a/street.jpg` it writes `classes/a/street.jpg.png`, whose pixels are the labels drawn in
the palette of the model, and with --overlay `classes/a/street.jpg.overlay.jpg`. Existing masks are
skipped, so the same command continues where it was stopped; a mask file appears only once it is
complete. `classes/made_by.json` records the model and its options, because all masks in a folder
must come from the same model. A run predicts at the image size at which it was evaluated.

--polygons writes the regions beside each mask as GeoJSON, in pixels, or with `coco` one file in
COCO's format. A GeoTIFF scene is read and written in windows; its mask and its polygons keep the
georeference. For a video, the classes are drawn over the frames.

A network that finds objects writes `annotations.coco.json`, COCO's format with the score of every
object.

An image that cannot be read or segmented does not stop the others. It is listed at the end and in
`classes/failed.txt`, and the exit code is 1. If an image crashes the process, for example because
memory runs out, the next call tries that image last, and skips it after three crashes.
`examples/predict_ray.py` does the same with many processes.
"""

import argparse
import functools
import sys
from pathlib import Path

import keras

from keras_segattn.applications.logits import task_of
from keras_segattn.command import instances
from keras_segattn.command.predict_file import SCENES, VIDEOS, check_options, predict_file
from keras_segattn.command.run_model import evaluation_of, find_model, finds_objects, sides_of
from keras_segattn.inference import segment
from keras_segattn.inference.mask_files import (
    claim_results,
    deaths,
    pair_files,
    remove_unfinished,
    report_failures,
    write_mask,
)
from keras_segattn.inference.polygon_files import POLYGONS, write_polygons
from keras_segattn.weights import load_keras_model
from keras_segattn.weights.preprocessing import IMAGENET
from keras_segattn.wording import counted


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="keras-segattn predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", type=Path, help="folder of a run, or a .keras file")
    add(
        "images",
        type=Path,
        help="folder (with subfolders), file that lists paths, GeoTIFF, or video",
    )
    add(
        "results",
        type=Path,
        nargs="?",
        help="folder or file to write (default: predicted/NAME in the folder of the run)",
    )
    sides = {"type": int, "nargs": 2, "metavar": ("HEIGHT", "WIDTH")}
    add(
        "--size", **sides, help="resize images to this size in the network (default: as in the run)"
    )
    add("--tile", type=int, help="side of a sliding window, for large images")
    add(
        "--scales",
        type=float,
        nargs="+",
        default=[1.0],
        help="average over images at these scales (default: 1)",
    )
    add("--flip", action="store_true", help="average with the mirror image")
    add(
        "--threshold", type=float, nargs="+", help="for a binary or multilabel model (default: 0.5)"
    )
    add("--overlay", action="store_true", help="also draw the classes over the image")
    add(
        "--polygons",
        nargs="?",
        choices=POLYGONS,
        const=POLYGONS[0],
        help=f"also write regions as polygons (default format: {POLYGONS[0]})",
    )
    add(
        "--simplify",
        type=float,
        default=0.0,
        metavar="PIXELS",
        help="tolerance for simpler outlines",
    )
    add(
        "--smoothing",
        type=float,
        default=0.0,
        help="average a video over time, 0 to 1 (default: 0)",
    )
    add("--raw", action="store_true", help="write labels as gray values, without the palette")
    add("--retry", action="store_true", help="retry images that crashed the process before")
    add(
        "--imagenet",
        action="store_true",
        help="preprocess with ImageNet's mean and deviation, for a model without preprocessing",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    names = ("tile", "scales", "flip", "raw", "imagenet")
    options = {name: getattr(arguments, name) for name in names}
    try:
        if finds_objects(arguments.model):
            _find_objects(arguments)
            return
        is_file = arguments.images.suffix.lower() in (*SCENES, *VIDEOS)
        if is_file:
            check_options(arguments)
        run, arguments.model = arguments.model, find_model(arguments.model)
        if arguments.size is None and arguments.tile is None:
            arguments.size = evaluation_of(run).get("size")
        for name in ("threshold", "size"):
            if getattr(arguments, name) is not None:
                options[name] = getattr(arguments, name)
        arguments.results = arguments.results or _default_results(run, arguments.images)
        if is_file:
            predict_file(load_keras_model(arguments.model), arguments)
            return
        pairs = pair_files(arguments.images, arguments.results)
        claim_results(arguments.results, arguments.model, options, pairs)
    except (ImportError, FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    todo = [pair for pair in pairs if not pair[1].exists()]
    remove_unfinished(arguments.results, but=[] if arguments.retry else [mask for _, mask in todo])
    # Images that crashed the process before come last.
    todo.sort(key=lambda pair: deaths(pair[1]))
    print(f"{counted(len(pairs), 'image')}, {len(pairs) - len(todo)} of them already done")
    if not todo:
        # Removes the report of an earlier run.
        report_failures({}, arguments.results)
        if not arguments.polygons:
            return
    model = load_keras_model(arguments.model)
    segment_file = functools.partial(
        segment,
        model,
        size=arguments.size,
        tile=arguments.tile,
        scales=arguments.scales,
        flip=arguments.flip,
        threshold=arguments.threshold,
        preprocessing=IMAGENET if arguments.imagenet else None,
        keep_probabilities=False,
    )
    progress = keras.utils.Progbar(len(todo), unit_name="image")
    failures = {}
    for image, mask in todo:
        try:
            write_mask(segment_file, image, mask, arguments.overlay, arguments.raw)
        except Exception as error:
            # Backends raise many kinds of errors when memory runs out, and one image must not end
            # the job.
            failures[str(image)] = str(error) or repr(error)
        progress.add(1)
    remove_unfinished(arguments.results, but=[mask for _, mask in todo if not mask.exists()])
    failed = report_failures(failures, arguments.results)
    if arguments.polygons:
        _write_polygons(model, pairs, arguments)
    print("written:", arguments.results)
    if failed:
        sys.exit(failed)


def _default_results(run, images):
    folder = run if run.is_dir() else run.parent
    return folder / "predicted" / images.stem


def _find_objects(arguments):
    run = arguments.model
    arguments.results = arguments.results or _default_results(run, arguments.images)
    model = load_keras_model(find_model(run))
    failures = instances.predict(arguments, model, sides_of(run))
    if failed := report_failures(failures, arguments.results):
        sys.exit(failed)


def _write_polygons(model, pairs, arguments):
    # Classes without names are numbered.
    names = getattr(model, "class_names", None) or list(map(str, range(model.output_shape[-1])))
    try:
        write_polygons(
            arguments.polygons,
            pairs,
            arguments.results,
            names,
            task_of(model),
            simplify=arguments.simplify,
        )
    except ImportError as error:
        sys.exit(f"--polygons: {error}")


if __name__ == "__main__":
    main()
