"""Sets up a virtual environment and runs the demo or the tests. Needs only Python 3.11 or later.

    python tasks.py demo      # trains, evaluates and exports a small model, with pictures (minutes)
    python tasks.py test      # runs the tests on the TensorFlow, JAX and torch backends
    python tasks.py lint      # ruff
    python tasks.py docs      # builds the documentation into site/, to open without a server
    python tasks.py oldest    # runs tests of files, training and export with older Keras versions
    python tasks.py backbones # runs tests of backbones of KerasHub and KerasCV
    python tasks.py release   # builds the package into dist/ and checks it; publishes nothing

Arguments after the name of the task are passed on: `python tasks.py test tests/layers -k resize`.
`python tasks.py test jax` runs one backend. `python tasks.py release v0.1.0` also checks that the
tag names the version, and that the changelog dates it. `oldest` and `release` run on Python 3.10.
"""

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
BACKENDS = ("tensorflow", "jax", "torch")
# The tests are known to pass with these versions.
CONSTRAINTS = ROOT / "constraints.txt"
# Tests that depend on the version of Keras or TensorFlow.
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
# Includes packages that are too large for every environment.
BACKBONE_TESTS = (
    "tests/backbones/test_keras_hub_presets.py",
    "tests/backbones/test_backbones.py::test_kerashub_backbone",
    "tests/backbones/test_backbones.py::test_kerascv_backbone",
)
# Two processes share the tests; more would need more memory than many machines have.
PARALLEL = ("-n", "2", "--dist", "worksteal")


def environment(name, *requirements, empty=False):
    """Makes or updates a virtual environment; returns the path of its Python."""
    folder = ROOT / f".venv-{name}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if empty or not python.exists():
        print(f"making {folder.name}", flush=True)
        venv.create(folder, with_pip=True, clear=empty)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    print("installing", *requirements, flush=True)
    run([*command, *requirements])
    return python


def run(command, folder=ROOT, **variables):
    result = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
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
    # Only before other arguments: `-k jax` chooses tests by their names.
    chosen = list(itertools.takewhile(BACKENDS.__contains__, rest))
    rest = rest[len(chosen) :]
    packages = ("-e", ".[test,jax,torch]", "-e", "./weights")
    python = environment("test", "-c", CONSTRAINTS, *packages)
    backends = chosen or BACKENDS
    # Tests that are the same on every backend are quickest on torch.
    once = "torch" if "torch" in backends else "tensorflow"
    for backend in backends:
        print(f"=== tests on the {backend} backend", flush=True)
        command = [python, "-m", "pytest", "-q", *PARALLEL, *rest]
        run(command, KERAS_BACKEND=backend, ONCE_ON=once)


def lint(rest):
    python = environment("lint", "-c", CONSTRAINTS, "ruff")
    run([python, "-m", "ruff", "check", *rest])
    run([python, "-m", "ruff", "format", "--check", *rest])


def docs(rest):
    # The package is not imported: its docstrings are read from the files.
    tools = ("mkdocs-material", "mkdocstrings[python]", "ruff")  # ruff breaks long signatures
    python = environment("docs", "-c", CONSTRAINTS, *tools)
    # The theme advertises its successor on every build.
    run([python, "-m", "mkdocs", "build", "--strict", *rest], NO_MKDOCS_2_WARNING="1")


def oldest(rest):
    tools = ("pytest", "pytest-timeout", "pytest-xdist", "scipy")  # some tests of losses need SciPy
    for name in ("oldest", "between"):
        if name == "between" and sys.version_info < (3, 11):
            print("=== Keras 3.14 needs Python 3.11: skipping its tests", flush=True)
            continue
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


def release(rest):
    """Builds the source archive and the wheel, and runs the README's first lines from the wheel."""
    version = released_version(*rest)
    tools = environment("release", "build", "twine")
    folder = ROOT / "dist"
    for file in folder.glob("keras_segattn*"):
        file.unlink()
    for package in (ROOT, ROOT / "weights"):
        run([tools, "-m", "build", "--outdir", folder, package])
    files = sorted(folder.glob("keras_segattn*"))
    run([tools, "-m", "twine", "check", "--strict", *files])
    (wheel,) = folder.glob(f"keras_segattn-{version}-*.whl")
    print("=== the README's first lines, from the wheel in an empty environment", flush=True)
    # Of the three backends JAX is the quickest to install.
    python = environment("wheel", f"{wheel}[jax,data]", empty=True)
    with tempfile.TemporaryDirectory() as elsewhere:
        # Isolated (-I), so that the package comes from the wheel and not from this checkout.
        lines = first_lines() + "\nprint(result)"
        run([python, "-I", "-c", lines], elsewhere, KERAS_BACKEND="jax")
    for file in files:
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1e6:.1f} MB")


def released_version(tag=None):
    """Returns the version of the package; ends the program if changelog or tag disagree with it."""
    version = re.search(r'__version__ = "(.+)"', read("keras_segattn/version.py"))[1]
    newest, state = re.search(r"^## (\S+) \((.+)\)$", read("CHANGELOG.md"), re.MULTILINE).groups()
    if newest != version:
        sys.exit(
            f"keras_segattn/version.py says {version}, but the newest entry of CHANGELOG.md is "
            f"{newest}: make them equal."
        )
    if tag is not None and tag != f"v{version}":
        sys.exit(f"The tag is {tag!r}, but the version is {version}: use the tag v{version}.")
    if tag is not None and not re.fullmatch(r"\d{4}-\d\d-\d\d", state):
        sys.exit(f"CHANGELOG.md says {version} ({state}). Enter the date: {version} (2027-01-31).")
    print(f"=== {version} ({state})", flush=True)
    return version


def first_lines():
    """Returns the first Python block of the README."""
    return re.search(r"```python\n(.*?)```", read("README.md"), re.DOTALL)[1]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


TASKS = {
    function.__name__: function for function in (demo, test, lint, docs, oldest, backbones, release)
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    arguments, others = parser.parse_known_args()
    TASKS[arguments.task](others)
