"""Measures speed and memory, and writes benchmarks/README.md.

    python -m benchmarks                        # everything; hours on two cores
    python -m benchmarks --list
    python -m benchmarks "CrissCrossAttention R=2" training start
    python -m benchmarks --page                 # writes the page again, and measures nothing

Results are kept in benchmarks/speed.json, and a new measurement of a comparison replaces the old
one.
"""

import argparse
import os
import shutil
import time

from benchmarks.page import read_results, write_results
from benchmarks.pipeline import pipeline
from benchmarks.reference import YARDSTICKS
from benchmarks.results import machine
from benchmarks.speed import GPU, comparisons
from benchmarks.start import start
from benchmarks.subjects import NETWORKS
from benchmarks.turns import compare, describe


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="comparisons (default: all)")
    parser.add_argument("--runs", type=int, default=15, help="runs of each contender (15)")
    parser.add_argument(
        "--engines",
        nargs="+",
        help="measure only these engines, and keep the results of the others",
    )
    parser.add_argument("--list", action="store_true", help="list the comparisons and exit")
    parser.add_argument("--page", action="store_true", help="write the page and exit")
    arguments = parser.parse_args()
    known = {
        **{name: _comparison(specs) for name, specs in comparisons().items()},
        "pipeline": lambda runs, engines: pipeline(runs),
        "start": lambda runs, engines: start(NETWORKS, runs),
    }
    if arguments.list:
        print("\n".join(known))
        return
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"unknown comparisons {unknown}; use --list to see the available ones")
    if arguments.runs < 2:
        parser.error(
            f"--runs must be at least 2, to measure the spread. Received: {arguments.runs}"
        )
    for name in () if arguments.page else arguments.names or known:
        if name.startswith(GPU) and not shutil.which("nvidia-smi"):
            print(f"== {name}: skipped, because there is no GPU")
            continue
        begin = time.time()
        print(f"== {name}", flush=True)
        found = known[name](arguments.runs, arguments.engines)
        if arguments.engines:
            found = _kept(read_results().get(name), found) + found
        write_results({**read_results(), name: {"machine": machine(), "found": found}})
        print(f"== {name}: {time.time() - begin:.0f} s", flush=True)
    if arguments.page:
        write_results(read_results())


def _kept(earlier, found):
    """Returns the earlier results of contenders that were not measured again."""
    measured = {describe(result) for result in found}
    results = earlier["found"] if earlier else []
    return [result for result in results if describe(result) not in measured]


def _comparison(specs):
    def measure(runs, engines):
        wanted = [
            spec
            for spec in specs
            if engines is None or spec["engine"] in engines or spec["subject"] in YARDSTICKS
        ]
        return compare(wanted, runs)

    return measure


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
