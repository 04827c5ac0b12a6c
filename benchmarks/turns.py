"""Compares contenders in turns, each in a separate process.

A backend, a runtime and its threads belong to a process, so each contender has its own. They run
in turns and never at the same time, so other work on the machine affects all alike, and ratios stay
valid even if times drift. Matrix products run between them as a reference for the machine.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Products of different libraries differ twofold; the fastest shows the rate of the machine.
YARDSTICK = "matmul"
YARDSTICKS = [
    {"engine": engine, "subject": YARDSTICK}
    for engine in ("tensorflow", "jax", "plain PyTorch", "ONNX")
]
SETTLE = 0.02  # seconds for the threads of the last contender to stop spinning


class Contender:
    """A process of `benchmarks.contender`, which runs its step once on request."""

    def __init__(self, spec):
        self.spec, self.times = spec, []
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        if spec.get("device") == "gpu":
            # Contenders share the GPU's memory.
            environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        else:
            environment |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        backend = spec["engine"].split()[0]
        known = ("tensorflow", "jax", "torch")
        environment["KERAS_BACKEND"] = backend if backend in known else "tensorflow"
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by `close`
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.contender", json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self.facts = self._read()

    def _read(self):
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):
            line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines() or ["ended without a message"]
        return {"error": lines[-1][:300]}

    def run(self):
        if "error" in self.facts:
            return
        time.sleep(SETTLE)
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            self.facts = answer
        else:
            self.times.append(answer["seconds"])

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def result(self):
        if "error" in self.facts:
            return {**self.spec, **self.facts}
        quarters = statistics.quantiles(self.times, n=4)
        return {
            **self.spec,
            **self.facts,
            "runs": len(self.times),
            "median": statistics.median(self.times),
            "quartiles": [quarters[0], quarters[2]],
        }


def compare(specs, runs=15, log=print):
    """Runs every contender `runs` times in turns, and returns a result for each.

    Args:
        specs: List of dicts for `benchmarks.engines.prepare`.
        runs: Integer, at least 2. Defaults to `15`.
        log: Callable for lines of progress. Defaults to `print`.

    Returns:
        List of dicts: the spec, the contender's own description, `median` and `quartiles` in
        seconds, and `share`, the ratio of its rate of operations to the rate of the fastest
        product. With a copy among the specs, also `memory_share`, the ratio of its rate of memory
        traffic to the copy's. If a contender cannot run here, only the spec and `error`. Specs
        without a product get `YARDSTICKS` first.
    """
    if all(spec["subject"] != YARDSTICK for spec in specs):
        specs = [*YARDSTICKS, *specs]
    contenders = []
    try:
        # They build and compile at the same time, mostly on one core each. On a GPU, they do so
        # one by one, because XLA measures which kernels are fastest.
        on_gpu = any(spec.get("device") == "gpu" for spec in specs)
        with ThreadPoolExecutor(1 if on_gpu else os.cpu_count()) as pool:
            for contender in pool.map(Contender, specs):
                contenders.append(contender)
                log(f"ready: {describe(contender.spec)} {contender.facts}")
        take_turns(contenders, runs)
    finally:
        for contender in contenders:
            contender.close()
    results = [contender.result() for contender in contenders]
    rates = {
        subject: [
            result[what] / result["median"]
            for result in results
            if result["subject"] == subject and "median" in result
        ]
        for subject, what in ((YARDSTICK, "flops"), ("copy", "bytes"))
    }
    for result in results:
        if "median" in result and result.get("flops"):
            rate = result["flops"] / result["median"]
            result["gflops"] = rate / 1e9
            result["share"] = rate / max(rates[YARDSTICK])
        if "median" in result and result.get("bytes") and rates["copy"]:
            result["memory_share"] = result["bytes"] / result["median"] / max(rates["copy"])
        log(f"{describe(result)}: {result.get('median', result.get('error'))}")
    return results


def take_turns(contenders, runs):
    for _ in range(runs):
        for contender in contenders:
            contender.run()


def describe(spec):
    shapes = ["x".join(map(str, shape)) for shape in spec.get("shapes", ())]
    keys = ("dtype", "backward", "training")
    more = [f"{key}={spec[key]}" for key in keys if spec.get(key)]
    return f"{spec['engine']}: " + " ".join([spec["subject"], *shapes, *more])
