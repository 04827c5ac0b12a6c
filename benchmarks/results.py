"""Tables, files of results, and descriptions of the machine, shared by the benchmarks."""

import contextlib
import json
import os
import platform
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path

from keras_segattn.atomic_files import write_text

PACKAGES = (
    "keras",
    "tensorflow",
    "tensorflow_cpu",
    "jax",
    "torch",
    "onnxruntime",
    "openvino",
    "ai-edge-litert",
    "keras-hub",
    "transformers",
)


def table(header, rows):
    """Returns a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def read_json(path):
    """Returns the content of a JSON file, or an empty dict if there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_json(path, content):
    write_text(path, json.dumps(content, indent=1) + "\n")


def machine():
    """Returns a description of the machine and its software."""
    cpu = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    gpu = None
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        gpu = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        **({"gpu": gpu} if gpu else {}),
        "python": platform.python_version(),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
    }


def machine_text(found):
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    gpu = f", {found['gpu']}" if "gpu" in found else ""
    return f"{found['cpu']}, {found['cores']} cores{gpu}, {found['date']}; {versions}."
