"""Writes docs/scaling.md: communication, input and speed of training on several devices.

    python -m benchmarks.scaling page                     # the page, from models and measurements
    python -m benchmarks.scaling pipeline CAMVID_FOLDER   # measures the input pipelines
    python -m benchmarks.scaling devices jax              # measures training on 1, 2 and 4 devices
    python -m benchmarks.scaling devices tensorflow

Communication and computation are counted from the models of the recipes. Measurements are kept in
docs/scaling.json, with the versions and the machine. A test compares the page with the output of
this script.
"""

import argparse
from pathlib import Path

from benchmarks.results import read_json, write_json
from benchmarks.scaling.measure import measure_devices, measure_pipeline
from benchmarks.scaling.page import BACKENDS, RESULTS, TARGET, page
from keras_segattn.atomic_files import write_text


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task", required=True)
    tasks.add_parser("page")
    tasks.add_parser("devices").add_argument("backend", choices=BACKENDS)
    tasks.add_parser("pipeline").add_argument("camvid", type=Path, help="folder of CamVid")
    arguments = parser.parse_args()
    results = read_json(RESULTS)
    if arguments.task == "page":
        write_text(TARGET, page(results))
        return
    if arguments.task == "devices":
        found = measure_devices(arguments.backend)
        results.setdefault("devices", {})[arguments.backend] = found
    else:
        results["pipeline"] = measure_pipeline(arguments.camvid)
    write_json(RESULTS, results)


if __name__ == "__main__":
    main()
