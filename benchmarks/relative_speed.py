"""Estimates the milliseconds of networks on a busy machine.

    python -m benchmarks.relative_speed FOLDER

Each network runs in ONNX Runtime on one thread, in turns with CANet MobileNetV2. Ratios are ratios
of processor time, which does not include waiting. The scale comes from the networks that
`benchmarks.speed` has measured: the geometric mean of their milliseconds over their ratios. The
estimates of these networks show the error.

FOLDER keeps the artifacts for later runs.
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
KNOWN = ("Cross-CBAM STDC1", "AttaNet ResNet-18", "AttaNet light")
SHAPES = [(1, 512, 1024, 3)]
RUNS = 15


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    reference = step_of(folder, REFERENCE)
    ratios = {REFERENCE: 1.0}
    for name in (*KNOWN, *EDGE_NETWORKS):
        low, ratios[name], high = statistics.quantiles(
            ratios_in_turns(step_of(folder, name), reference), n=4
        )
        print(f"{name}: {ratios[name]:.3f} times (quartiles {low:.3f} and {high:.3f})", flush=True)
    known = known_milliseconds()
    scale = statistics.geometric_mean(known[name] / ratios[name] for name in (REFERENCE, *KNOWN))
    for name, ratio in ratios.items():
        measured = f", measured: {known[name]:.0f} ms" if name in known else ""
        print(f"{name}: {scale * ratio:.0f} ms{measured}")


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
