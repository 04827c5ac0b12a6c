"""Compares contenders one run after another in turns, each in a process of its own.

A backend, a runtime and its threads belong to a process, so that every contender has one. They run
in turns, and no two at a time: what the machine does meanwhile meets all alike, and ratios hold
where seconds drift. Matrix products run among them, as the yardstick of the machine.
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
# Libraries differ twofold in their products: the fastest shows the rate of the machine.
YARDSTICK = "matmul"
YARDSTICKS = [
    {"engine": engine, "subject": YARDSTICK}
    for engine in ("tensorflow", "jax", "plain PyTorch", "ONNX")
]
SETTLE = 0.02  # seconds, in which the threads of the last contender stop spinning


class Contender:
    """A process of `benchmarks.contender`, which runs its step once when told to."""

    def __init__(self, spec):
        self.spec, self.times = spec, []
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        if spec.get("device") == "gpu":
            # Contenders share its memory.
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
        specs: List of dicts that `benchmarks.engines.prepare` understands.
        runs: Integer, at least 2. Defaults to `15`.
        log: Callable for lines on progress. Defaults to `print`.

    Returns:
        List of dicts: the spec, the contender's own description, `median` and `quartiles` in
        seconds, and `share`, its operations over those of the fastest product in the same time;
        with a copy among the specs, `memory_share`, the bytes that it must move over those of the
        copy in the same time; or the spec and `error`, where the contender cannot run here. Specs
        without a product get `YARDSTICKS`, which come first.
    """
    if all(spec["subject"] != YARDSTICK for spec in specs):
        specs = [*YARDSTICKS, *specs]
    contenders = []
    try:
        # They build and compile side by side, mostly on one core each; for a GPU one by one, since
        # XLA tries there which kernels are fastest.
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
