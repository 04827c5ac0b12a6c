"""Times of importing the package, and of building, running and exporting a network."""

import statistics
import subprocess
import sys

BUILD = """
import time
from benchmarks.subjects import build, inputs_of, shapes_of
from benchmarks.runtimes import write_artifact
import tempfile
begin = time.perf_counter()
shapes = shapes_of({name!r})
model = build({name!r}, shapes)
built = time.perf_counter()
model.predict_on_batch(inputs_of(shapes)[0])
called = time.perf_counter()
with tempfile.TemporaryDirectory() as folder:
    write_artifact({name!r}, "onnx_cpu", folder + "/model.onnx", "float32", str(shapes))
print(built - begin, called - built, time.perf_counter() - called)
"""
# Packages that must not be imported automatically: each is slow, and only some users need it.
HEAVY = ("matplotlib", "PIL", "onnx", "tensorflow", "torch", "jax")


def start(networks, runs, log=print):
    """Returns the seconds that the import adds to `import keras`, and times of networks."""
    seconds = {"keras": [], "keras_segattn": []}
    for _ in range(runs):
        for package, times in seconds.items():
            code = f"import time; t = time.perf_counter(); import {package}; "
            times.append(float(_python(code + "print(time.perf_counter() - t)")))
    loaded = {
        package: set(_python(f"import sys, {package}; print(*sys.modules)").split())
        for package in seconds
    }
    result = {
        "import_keras": statistics.median(seconds["keras"]),
        "import_added": statistics.median(
            ours - plain
            for plain, ours in zip(seconds["keras"], seconds["keras_segattn"], strict=True)
        ),
        "brought_in": [name for name in HEAVY if name in loaded["keras_segattn"] - loaded["keras"]],
        "networks": {},
    }
    for name in networks:
        built, called, exported = map(float, _python(BUILD.format(name=name)).split())
        result["networks"][name] = {"build": built, "first call": called, "ONNX export": exported}
        log(f"{name}: {result['networks'][name]}")
    return result


def _python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout.strip().splitlines()[-1]
