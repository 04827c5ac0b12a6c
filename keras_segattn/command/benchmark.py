"""Measures the speed of networks, runtimes and precisions on this machine.

    keras-segattn benchmark                                # all networks, in Keras
    keras-segattn benchmark runs/a runs/b --formats keras onnx_cpu openvino
    keras-segattn benchmark CANet AttaNet --backbone resnet18 --size 1024 2048
    keras-segattn benchmark runs/a --formats litert --dtypes float32 int8 --csv speed.csv

Networks given by name have random weights, which does not change their speed. Each time is the
median from image to classes. The first image includes compilation and is not counted. Run nothing
else on the machine at the same time.
"""

import argparse
import csv
import statistics
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from keras_segattn import applications
from keras_segattn.atomic_files import atomic_path
from keras_segattn.command.flags import NETWORKS
from keras_segattn.command.run_model import load_model
from keras_segattn.export import ExportedSegmenter, export_model
from keras_segattn.export.formats import FORMATS
from keras_segattn.export.verification import LEAST_AGREEMENT
from keras_segattn.inference import segment

COLUMNS = ("network", "runtime", "precision", "ms", "images/s", "parameters")
KERAS = "keras"
# Minimum number of images to measure.
LEAST_IMAGES = 5


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog="keras-segattn benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("networks", nargs="*", help=f"runs, .keras files, or {', '.join(NETWORKS)} (default: all)")
    formats = (KERAS, *FORMATS)
    add("--formats", nargs="+", choices=formats, default=[KERAS], help="default: keras")
    add("--dtypes", nargs="+", choices=list(LEAST_AGREEMENT), default=["float32"])
    add("--backbone", help="backbone of networks given by name (default: the network's own)")
    add("--classes", type=int, default=19, help="of networks given by name (default: 19)")
    add("--size", type=int, nargs=2, default=(512, 1024), metavar=("HEIGHT", "WIDTH"))
    add("--seconds", type=float, default=5.0, help="duration of each measurement (default: 5)")
    add("--csv", type=Path, help="also write the table to this file")
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    rows = []
    print("  ".join(f"{name:<14}" for name in COLUMNS))
    try:
        for name in arguments.networks or NETWORKS:
            model = build(name, arguments)
            for row in measure(name, model, arguments):
                rows.append(row)
                print("  ".join(f"{_text(value):<14}" for value in row.values()), flush=True)
            keras.utils.clear_session()
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    if arguments.csv is not None:
        with atomic_path(arguments.csv) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def build(name, arguments):
    """Returns a network by name, with random weights, or from a run or file."""
    if name not in NETWORKS:
        return load_model(name)
    own = {} if arguments.backbone is None else {"backbone": arguments.backbone}
    return getattr(applications, name)(classes=arguments.classes, **own)


def measure(name, model, arguments):
    """Yields a dict of `COLUMNS` for each runtime and precision, with the error if it fails."""
    shape = (*arguments.size, model.input_shape[-1])
    image = np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")
    for format in arguments.formats:
        for dtype in ["float32"] if format == KERAS else arguments.dtypes:
            row = {"network": Path(name).name, "runtime": format, "precision": dtype}
            with tempfile.TemporaryDirectory() as folder:
                try:
                    run = _runner(model, image, format, dtype, Path(folder))
                    seconds = median_seconds(run, arguments.seconds)
                except (ImportError, OSError, RuntimeError, ValueError) as error:
                    yield {
                        **row,
                        "ms": str(error).splitlines()[0],
                        "images/s": "",
                        "parameters": "",
                    }
                    continue
            row.update({"ms": 1000 * seconds, "images/s": 1 / seconds})
            yield {**row, "parameters": model.count_params()}


def median_seconds(run, seconds):
    """Returns the median time of a function call, measured over some seconds."""
    run()
    times, end = [], time.perf_counter() + seconds
    while len(times) < LEAST_IMAGES or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _runner(model, image, format, dtype, folder):
    if format == KERAS:
        return lambda: segment(model, image, keep_probabilities=False)
    path = folder / f"model{FORMATS[format].suffix or ''}"
    batch = (1, *image.shape[:2])
    export_model(model, path, format, images=[image], input_shape=batch, dtype=dtype)
    artifact = ExportedSegmenter(path)
    return lambda: artifact(image)


def _text(value):
    return f"{value:.1f}" if isinstance(value, float) else str(value)
