"""Segments many images with an exported model, by a pool of processes on one machine or many.

    pip install "keras-segattn[ray]"
    python -m keras_segattn.export model.keras --format onnx --to canet.onnx
    python examples/predict_ray.py canet.onnx frames/ classes/

It writes what `predict_folder.py` writes: for `frames/a/0001.jpg` the labels in
`classes/a/0001.jpg.png`. The same command goes on where it was stopped; a file gets its name when
it is whole; an image that cannot be read is named at the end and in `classes/failed.txt`, and the
exit code is then 1. One job at a time works on a folder of results.

Ray Data hands out the paths, some at a time, and each worker reads, segments and writes by itself,
so that no pixels travel. Where a worker is killed, or its machine is lost, Ray starts another and
hands out again what was not answered; masks that are there stay. An image at which three workers
died is named among those that failed.

On one machine a cluster of Ray's is started, and ended at the end. On several, start one with
`ray start` and pass its address:

    export RAY_AUTH_MODE=token                   # on each machine
    ray start --head                             # on the first
    ray start --address 10.0.0.1:6379            # on each of the others
    python examples/predict_ray.py canet.onnx frames/ classes/ --address 10.0.0.1:6379

All need the same versions of Python, Ray and this package; the artifact, the images and the results
under the same paths, a folder on shared storage; and the token that Ray keeps in ~/.ray/auth_token.

A worker holds the artifact and its runtime, and neither Keras nor a backend. `--workers 1 --cpus 2`
loads the model once, for all the cores of a small machine. docs/serving.md says how much memory Ray
itself takes.
"""

import argparse
import logging
import math
import os
import sys
import time
from pathlib import Path

# Nothing is sent anywhere. Read when Ray is imported.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import numpy as np
import ray

from keras_segattn.export import ExportedSegmenter
from keras_segattn.inference.mask_files import (
    claim_results,
    pair_files,
    remove_unfinished,
    report_failures,
    write_mask,
)
from keras_segattn.wording import counted

# Images that a worker is handed at a time: few enough to share them out evenly.
MOST_AT_A_TIME = 64
# Ray's own least: only paths travel.
OBJECT_STORE_BYTES = 80 << 20


class Worker:
    """An actor of the pool: it holds the model, and writes the masks of the images it is handed."""

    def __init__(self, model, threads, overlay):
        self.segment = ExportedSegmenter(model, threads)
        self.overlay = overlay

    def __call__(self, batch):
        files = zip(batch["image"], batch["mask"], strict=True)
        errors = [self.write(Path(image), Path(mask)) for image, mask in files]
        return {"image": batch["image"], "error": np.array(errors, dtype=object)}

    def write(self, image, mask):
        """Returns the error, or an empty string."""
        if mask.exists():
            # Written by a worker that died before it could say so.
            return ""
        try:
            write_mask(self.segment, image, mask, self.overlay)
        except Exception as error:
            # Runtimes fail in many ways, and one image is not worth the job.
            return str(error) or repr(error)
        return ""


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", type=Path, help="artifact of export_model: ONNX, or any other format")
    add(
        "images", type=Path, help="folder, searched with its subfolders; or a file with their paths"
    )
    add("results", type=Path, help="folder to write")
    add("--workers", type=int, help="processes (default: as many as there is room for)")
    add("--cpus", type=int, default=1, help="cores and threads of a worker (default 1)")
    add("--gpus", type=float, default=0, help="of a worker, 0.5 say, for TensorRT (default 0)")
    add("--address", default="local", help="of a cluster of Ray's (default: starts its own)")
    add("--overlay", action="store_true", help="draw the classes over the image, too")
    parsed = parser.parse_args(arguments)
    for name, least in (("workers", 1), ("cpus", 1), ("gpus", 0)):
        value = getattr(parsed, name)
        if value is not None and value < least:
            parser.error(f"--{name} must be at least {least}. Received: {value}")
    return parsed


def connect(address):
    own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    ray.init(
        address,
        log_to_driver=False,
        logging_level="warning",
        **(own if address == "local" else {}),
    )
    # Progress is shown by `main`.
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel("ERROR")


def room_for(cpus, gpus):
    """Returns how many workers the machines of the cluster have room for."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    count = sum(
        math.floor(min(machine.get("CPU", 0) / cpus, machine.get("GPU", 0) / gpus if gpus else 1e9))
        for machine in machines
    )
    if not count:
        has = "; ".join(
            f"{machine.get('CPU', 0):g} CPUs and {machine.get('GPU', 0):g} GPUs"
            for machine in machines
        )
        sys.exit(f"No machine has room for a worker of {cpus} CPUs and {gpus:g} GPUs: {has}")
    return count


def answers(todo, arguments):
    """Yields images and the error of each, as the workers report them."""
    room = room_for(arguments.cpus, arguments.gpus)
    workers = min(arguments.workers or room, room, len(todo))
    at_a_time = min(MOST_AT_A_TIME, max(1, len(todo) // (4 * workers)))
    files = ray.data.from_items(
        [{"image": str(image), "mask": str(mask)} for image, mask in todo],
        override_num_blocks=math.ceil(len(todo) / at_a_time),
    )
    done = files.map_batches(
        Worker,
        fn_constructor_args=(arguments.model.absolute(), arguments.cpus, arguments.overlay),
        batch_size=None,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=arguments.cpus,
        num_gpus=arguments.gpus or None,
    )
    for batch in done.iter_batches(batch_size=None):
        yield from zip(batch["image"], batch["error"], strict=True)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    # Workers have a working folder of their own.
    images, results = arguments.images.absolute(), arguments.results.absolute()
    try:
        ExportedSegmenter.check(arguments.model)
        pairs = pair_files(images, results)
        claim_results(results, arguments.model, {}, pairs)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    remove_unfinished(results)
    todo = [pair for pair in pairs if not pair[1].exists()]
    print(f"{counted(len(pairs), 'image')}, {len(pairs) - len(todo)} of them done before")
    if not todo:
        # Removes the report of an earlier run.
        report_failures({}, results)
        return
    connect(arguments.address)
    # Here, so that workers do not import Keras.
    import keras

    progress = keras.utils.Progbar(len(todo), unit_name="image")
    failures, start = {}, time.monotonic()
    try:
        for image, error in answers(todo, arguments):
            if error:
                failures[image] = error
            progress.add(1)
    finally:
        ray.shutdown()
    remove_unfinished(results)
    written, seconds = len(todo) - len(failures), time.monotonic() - start
    print(f"{counted(written, 'mask')} written in {seconds:.0f} s")
    failed = report_failures(failures, results)
    if failed:
        sys.exit(failed)


if __name__ == "__main__":
    main()
