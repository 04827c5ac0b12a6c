"""Estimates the milliseconds of networks on a machine that is not quiet.

    python -m benchmarks.relative_speed FOLDER

Each network runs in ONNX Runtime on one thread in turns with CANet MobileNetV2, whose milliseconds
are known from `benchmarks.speed`. What is compared is processor time, which waiting does not
change: the milliseconds are the known ones times the median of the ratios. The other networks with
known milliseconds show how far such an estimate is off.

The artifacts are kept in FOLDER, and those that are there already are not written again.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import onnxruntime

from benchmarks.results import read_json
from benchmarks.runtimes import WRITE
from benchmarks.subjects import EDGE_NETWORKS, inputs_of

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "CANet MobileNetV2"
CHECKED = ("Cross-CBAM STDC1", "AttaNet ResNet-18", "AttaNet light")
SHAPES = [(1, 512, 1024, 3)]
RUNS = 15


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    known = known_milliseconds()
    reference = step_of(folder, REFERENCE)
    for name in (*CHECKED, *EDGE_NETWORKS):
        ratios = ratios_in_turns(step_of(folder, name), reference)
        quarters = statistics.quantiles(ratios, n=4)
        milliseconds = f"{quarters[1] * known[REFERENCE]:.0f} ms"
        if name in known:
            milliseconds += f", known: {known[name]:.0f} ms"
        print(
            f"{name}: {quarters[1]:.3f} times (quartiles {quarters[0]:.3f} and {quarters[2]:.3f}), "
            f"{milliseconds}",
            flush=True,
        )


def known_milliseconds():
    """Returns the milliseconds of each network in ONNX Runtime, from the table "side by side"."""
    found = read_json(ROOT / "benchmarks" / "speed.json")["side by side"]["found"]
    return {
        result["subject"]: 1000 * result["median"] for result in found if result["engine"] == "ONNX"
    }


def step_of(folder, name):
    path = folder / f"{name}.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [name, "onnx_cpu", path, "float32", SHAPES]
        subprocess.run([sys.executable, "-c", WRITE, *map(str, arguments)], check=True, cwd=ROOT)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: inputs_of(SHAPES)[0]}

    def step():
        session.run(None, feeds)

    return step


def ratios_in_turns(step, reference):
    """Returns the processor time of a step over the mean of the reference's before and after it."""
    step()
    ratios, before = [], processor_time(reference)
    for _ in range(RUNS):
        found, after = processor_time(step), processor_time(reference)
        ratios.append(2 * found / (before + after))
        before = after
    return ratios


def processor_time(step):
    start = time.process_time()
    step()
    return time.process_time() - start


if __name__ == "__main__":
    main()
