"""Segments many images with an exported model, with a pool of processes on one or more machines.

    pip install ".[tensorflow,ray]"
    keras-segattn export model.keras --format onnx --to canet.onnx
    python examples/predict_ray.py canet.onnx frames/ classes/

It writes the same files as `predict_folder.py`: for `frames/a/0001.jpg`, the labels in
`classes/a/0001.jpg.png`. The same command continues where it was stopped, and a mask file appears
only once it is complete. Images that cannot be read are listed at the end and in
`classes/failed.txt`, and the exit code is 1. Only one job at a time may write to a folder.

Ray hands out paths, a few at a time. Each worker reads, segments and writes its images, so no
pixels are sent. If a worker is killed or its machine is lost, Ray starts another worker and hands
out the unfinished images again; existing masks are kept. An image that ended three workers is
reported as failed.

On one machine, the script starts a Ray cluster and stops it at the end. For several machines, start
a cluster with `ray start` and pass its address:

    export RAY_AUTH_MODE=token                   # on each machine
    ray start --head                             # on the first
    ray start --address 10.0.0.1:6379            # on each of the others
    python examples/predict_ray.py canet.onnx frames/ classes/ --address 10.0.0.1:6379

All machines need the same versions of Python, Ray and this package, the same paths of the artifact,
images and results, for example on shared storage, and the token in ~/.ray/auth_token.

A worker loads the artifact and its runtime, but neither Keras nor a backend. On a small machine,
`--workers 1 --cpus 2` loads the model once for all cores. For the memory of Ray itself, see
docs/serving.md.
"""

import argparse
import logging
import math
import os
import sys
import time
from pathlib import Path

# Disables usage reports. Ray reads this variable when it is imported.
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

# Images handed to a worker at a time: few enough for an even distribution.
MOST_AT_A_TIME = 64
# The minimum that Ray accepts is enough, because only paths are sent.
OBJECT_STORE_BYTES = 80 << 20


class Worker:
    """An actor of the pool: loads the model and writes the masks of its images."""

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
            # Written by a worker that died before it could report this.
            return ""
        try:
            write_mask(self.segment, image, mask, self.overlay)
        except Exception as error:
            # Runtimes raise many kinds of errors, and one image must not end the job.
            return str(error) or repr(error)
        return ""


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", type=Path, help="artifact of export_model: ONNX, or any other format")
    add("images", type=Path, help="folder (with subfolders), or a file that lists paths")
    add("results", type=Path, help="folder to write")
    add("--workers", type=int, help="number of processes (default: as many as fit)")
    add("--cpus", type=int, default=1, help="cores and threads per worker (default 1)")
    add(
        "--gpus",
        type=float,
        default=0,
        help="GPUs per worker, such as 0.5, for TensorRT (default 0)",
    )
    add("--address", default="local", help="address of a Ray cluster (default: start one)")
    add("--overlay", action="store_true", help="also draw the classes over the image")
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
    # `main` shows the progress.
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel("ERROR")


def room_for(cpus, gpus):
    """Returns the number of workers that fit on the machines of the cluster."""
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
    # Workers have a different working folder.
    images, results = arguments.images.absolute(), arguments.results.absolute()
    try:
        ExportedSegmenter.check(arguments.model)
        pairs = pair_files(images, results)
        claim_results(results, arguments.model, {}, pairs)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    remove_unfinished(results)
    todo = [pair for pair in pairs if not pair[1].exists()]
    print(f"{counted(len(pairs), 'image')}, {len(pairs) - len(todo)} of them already done")
    if not todo:
        # Removes the report of an earlier run.
        report_failures({}, results)
        return
    connect(arguments.address)
    # Imported here to keep Keras out of the workers.
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
