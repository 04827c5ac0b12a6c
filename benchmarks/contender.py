"""One contender of a comparison, as a process: prepares a step, then runs it once per line read.

    echo run | python -m benchmarks.contender '{"engine": "jax", "subject": "CCNet"}'

It answers with lines of JSON: its description, then the seconds of each run, or an error.
"""

import ctypes
import json
import sys
import time
from pathlib import Path


def main():
    spec = json.loads(sys.argv[1])
    # Libraries may print; the protocol uses the real standard output exclusively.
    out, sys.stdout = sys.stdout, sys.stderr

    def say(**facts):
        print(json.dumps(facts), file=out, flush=True)

    try:
        from benchmarks.engines import prepare

        step, facts = prepare(spec)
        first = peak_of(step)
        # Runtimes, TensorFlow and JAX keep the memory of their first run. PyTorch frees the memory
        # of each run and may compile in the first. On a GPU, the framework reports its memory.
        keeps = facts.pop("keeps_memory", False)
        if hasattr(step, "peak_bytes"):
            peak = step.peak_bytes()
        else:
            peak = first if keeps else peak_of(step)
        facts["peak_mib"] = peak / 2**20
        step()
        say(**facts)
        for _ in sys.stdin:
            # One run to fill caches and to get back pages that the system took from the idle
            # process.
            step()
            start = time.perf_counter()
            step()
            say(seconds=time.perf_counter() - start)
    except Exception as error:
        say(error=f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}")


def peak_of(step):
    """Returns the bytes that a run adds to the memory of the process, or -1 if unknown."""
    if not Path("/proc/self/clear_refs").exists():
        step()
        return -(2**20)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    step()
    return _status("VmHWM") - before


def _status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    main()
