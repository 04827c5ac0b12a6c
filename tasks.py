"""Sets up a virtual environment and runs the demo or the tests. Needs only Python 3.11 or later.

    python tasks.py demo      # trains, evaluates, draws and exports a small model (minutes)
    python tasks.py test      # runs the tests on the TensorFlow, JAX and torch backends
    python tasks.py lint      # ruff
    python tasks.py docs      # builds the documentation, as files to open, into site/
    python tasks.py oldest    # runs tests of files, training and export with older Keras versions
    python tasks.py backbones # runs tests of backbones of KerasHub and KerasCV

Arguments after the name of the task are passed on: `python tasks.py test tests/layers -k resize`.
"""

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
BACKENDS = ("tensorflow", "jax", "torch")
# The versions that the tests are known to pass with.
CONSTRAINTS = ROOT / "constraints.txt"
# Sensitive to the version of Keras or TensorFlow: models, files, losses, training and export.
VERSION_TESTS = (
    "tests/layers/test_properties.py::test_file_round_trip",
    "tests/layers/test_properties.py::test_what_is_frozen_stays_frozen_in_files_and_copies",
    "tests/applications/test_segmentation_model.py",
    "tests/losses",
    "tests/metrics",
    "tests/test_training_example.py::test_a_trained_model_is_evaluated",
    "tests/export/test_onnx.py::test_onnx_takes_any_size_and_batch",
    "tests/export/test_saved_model.py::test_saved_model_runs_in_a_process_without_this_package",
)
# With the packages that are too large for every environment.
BACKBONE_TESTS = (
    "tests/backbones/test_keras_hub_presets.py",
    "tests/backbones/test_backbones.py::test_kerashub_backbone",
    "tests/backbones/test_backbones.py::test_kerascv_backbone",
)
# Two processes share the tests; more would need more memory than many machines have.
PARALLEL = ("-n", "2", "--dist", "worksteal")


def environment(name, *requirements):
    """Makes or updates a virtual environment; returns the path of its Python."""
    folder = ROOT / f".venv-{name}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print(f"making {folder.name}", flush=True)
        venv.create(folder, with_pip=True)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    print("installing", *requirements, flush=True)
    run([*command, *requirements])
    return python


def run(command, **variables):
    result = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **variables},
    )
    if result.returncode:
        sys.exit(result.returncode)


def demo(rest):
    python = environment("demo", "-c", CONSTRAINTS, "-e", ".[examples]")
    defaults = ["--data", "generated", "--epochs", "12", "--learning-rate", "1e-3"]
    defaults += ["--backbone-weights", "none"]
    run([python, "examples/train_camvid.py", *defaults, *rest], KERAS_BACKEND="tensorflow")


def test(rest):
    python = environment("test", "-c", CONSTRAINTS, "-e", ".[test,jax,torch]")
    for backend in BACKENDS:
        print(f"=== tests on the {backend} backend", flush=True)
        run([python, "-m", "pytest", "-q", *PARALLEL, *rest], KERAS_BACKEND=backend)


def lint(rest):
    python = environment("lint", "-c", CONSTRAINTS, "ruff")
    run([python, "-m", "ruff", "check", *rest])
    run([python, "-m", "ruff", "format", "--check", *rest])


def docs(rest):
    # Nothing of the package is imported: its docstrings are read from the files.
    tools = ("mkdocs-material", "mkdocstrings[python]", "ruff")  # ruff breaks long signatures
    python = environment("docs", "-c", CONSTRAINTS, *tools)
    # The theme tells of its successor on every build.
    run([python, "-m", "mkdocs", "build", "--strict", *rest], NO_MKDOCS_2_WARNING="1")


def oldest(rest):
    tools = ("pytest", "pytest-timeout", "pytest-xdist", "scipy")  # SciPy checks some losses
    for name in ("oldest", "between"):
        constraints = ROOT / f"constraints-{name}.txt"
        python = environment(name, "-c", constraints, "-e", ".[examples,weights]", *tools)
        print(f"=== tests with the versions of {constraints.name}", flush=True)
        command = [python, "-m", "pytest", "-q", *PARALLEL, *(rest or VERSION_TESTS)]
        run(command, KERAS_BACKEND="tensorflow")


def backbones(rest):
    packages = (".[kerashub,kerascv,data]", "pytest", "pytest-timeout")
    python = environment("backbones", "-c", CONSTRAINTS, "-e", *packages)
    print("=== tests of backbones of KerasHub and KerasCV", flush=True)
    command = [python, "-m", "pytest", "-q", *(rest or BACKBONE_TESTS)]
    run(command, KERAS_BACKEND="tensorflow")


TASKS = {function.__name__: function for function in (demo, test, lint, docs, oldest, backbones)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    arguments, others = parser.parse_known_args()
    TASKS[arguments.task](others)
