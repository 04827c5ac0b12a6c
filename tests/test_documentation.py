"""The examples of docstrings and pages run, imports stay light, and written pages are current."""

import ast
import doctest
import importlib.util
import inspect
import os
import pkgutil
import re
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_segattn
from keras_segattn import applications, layers

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    info.name
    for info in pkgutil.walk_packages(keras_segattn.__path__, "keras_segattn.")
    # It runs where it is imported.
    if not info.name.endswith(".worker")
]


@pytest.mark.once
@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    names = {**vars(module), "np": np, "keras": keras, "keras_segattn": keras_segattn}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, globs=names):
        # Doctest prints no result of a call that returns None, such as a metric's update.
        runner.run(test)
    assert runner.failures == 0


def public_objects():
    for package in (layers, applications):
        for name in package.__all__:
            item = getattr(package, name)
            if callable(item):
                yield pytest.param(item, id=name)


@pytest.mark.once
@pytest.mark.parametrize("item", list(public_objects()))
def test_docstrings_are_whole(item):
    text = item.__doc__
    for part in ("Args:", "Returns:", "Example:", ">>> ", "**Differences from"):
        if (
            isinstance(item, type)
            and issubclass(item, applications.SegmentationModel)
            and part in ("Returns:", "**Differences from")
        ):
            # It stands in no paper.
            continue
        assert part in text, part
    assert "(batch, height, width" in text
    arguments = text.split("Args:")[1].split("\n\n")[0]
    for name in (
        item.__init__.__code__.co_varnames[1 : item.__init__.__code__.co_argcount]
        if (isinstance(item, type))
        else inspect.getfullargspec(inspect.unwrap(item)).kwonlyargs
    ):
        assert f"{name}:" in arguments, name


def exported():
    """Yields the full name of everything that the subpackages export."""
    for subpackage in keras_segattn.SUBPACKAGES:
        module = getattr(keras_segattn, subpackage)
        own = [
            name
            for name, item in vars(module).items()
            if getattr(item, "__module__", None) == module.__name__ and not name.startswith("_")
        ]
        for name in getattr(module, "__all__", own):
            # A module of `keras.applications`'s form, such as `canet`, has its names on the pages.
            if not isinstance(getattr(module, name), types.ModuleType):
                yield f"keras_segattn.{subpackage}.{name}"


@pytest.mark.once
def test_every_export_has_an_api_entry_and_the_reverse():
    pages = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    documented = re.findall(r"^::: ([\w.]+)", pages, re.MULTILINE)
    # Modules such as `keras_segattn.applications.canet` have functions of their own.
    of_modules = [name for name in documented if name.count(".") > 2]
    for name in of_modules:
        module, _, function = name.rpartition(".")
        assert function in importlib.import_module(module).__all__
    assert sorted(set(documented) - set(of_modules)) == sorted(set(exported()))
    assert len(documented) == len(set(documented))


def test_every_public_class_is_registered():
    for package in (layers, applications):
        for name in package.__all__:
            item = getattr(package, name)
            if isinstance(item, type):
                assert keras.saving.get_registered_name(item) == f"keras_segattn>{name}"


@pytest.mark.once
def test_import_brings_in_nothing_heavy():
    script = (
        "import sys, keras; before = set(sys.modules); import keras_segattn; "
        "print(sorted({n.split('.')[0] for n in set(sys.modules) - before}))"
    )
    # This backend is the quickest to import, and brings in no other.
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    output = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment,
    ).stdout
    brought = set(ast.literal_eval(output.strip().splitlines()[-1]))
    heavy = {"tensorflow", "jax", "torch", "matplotlib", "PIL", "onnx", "onnxruntime", "tf2onnx"}
    heavy |= {"ai_edge_litert", "nncf", "openvino", "tensorrt"}
    assert not brought & heavy


@pytest.mark.parametrize(
    "folder", ["layers", "detection", "backbones", "applications", "losses", "metrics"]
)
def test_no_backend_is_imported_where_all_must_run(folder):
    for path in (ROOT / "keras_segattn" / folder).rglob("*.py"):
        if path.name == "replicas.py":
            continue  # it asks TensorFlow's strategies, on TensorFlow only
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            roots = {name.split(".")[0] for name in names}
            assert not roots & {"tensorflow", "jax", "torch"}, path


@pytest.mark.tensorflow
def test_code_of_the_readme_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        # Two by two tiles are as good as many.
        block = block.replace("np.zeros((1000, 2000, 3)", "np.zeros((600, 700, 3)")
        exec(compile(block, "README.md", "exec"), {})


PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "```python" in path.read_text())
# A block that no test can run says why in a comment above it.
BLOCK = re.compile(r"(<!-- not run: .+? -->\n)?```python\n(.*?)```", re.DOTALL)


def page_case(path):
    # TensorFlow makes every artifact; on another backend a process is started that imports it.
    exports = any(
        "export_model(" in code for reason, code in BLOCK.findall(path.read_text()) if not reason
    )
    marker = pytest.mark.tensorflow if exports else pytest.mark.once
    return pytest.param(path, marks=marker, id=path.relative_to(ROOT / "docs").as_posix())


@pytest.mark.parametrize("page", [page_case(page) for page in PAGES])
def test_code_of_the_pages_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The blocks of a page go on from each other, as a reader takes them.
    names = {}
    for reason, code in BLOCK.findall(page.read_text()):
        if not reason:
            exec(compile(code, str(page), "exec"), names)


@pytest.mark.once
def test_few_blocks_of_the_pages_are_not_run():
    blocks = [block for page in PAGES for block in BLOCK.findall(page.read_text())]
    assert len(blocks) > 30
    assert sum(bool(reason) for reason, _ in blocks) <= 6


OUTSIDE = [
    path for folder in (ROOT, ROOT / "benchmarks", ROOT / ".github") for path in folder.glob("*.md")
]


@pytest.mark.once
@pytest.mark.parametrize("page", OUTSIDE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_of_pages_outside_the_site_lead_to_files(page):
    # Links within the site, and their anchors, are checked where it is built.
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.once
def test_table_of_networks_is_what_its_script_writes():
    from benchmarks import published_counts

    text = published_counts.TARGET.read_text()
    assert text == published_counts.page()
    misses = [cell for cell in re.findall(r"[+-]\d+\.\d(?= %)", text) if abs(float(cell)) > 1]
    # The comment beside AttaNet's Table 4 has seven of them, the page's text the eighth.
    assert len(misses) == 8


@pytest.mark.once
def test_page_of_backbones_is_what_its_script_writes():
    from benchmarks import backbone_table

    assert backbone_table.TARGET.read_text() == backbone_table.page()


@pytest.mark.once
def test_page_of_exports_is_what_its_script_writes():
    from benchmarks import export_table

    assert export_table.TARGET.read_text() == export_table.page(export_table.read_results())


@pytest.mark.once
def test_page_of_scaling_is_what_its_script_writes():
    from benchmarks.results import read_json
    from benchmarks.scaling.page import RESULTS, TARGET, page

    assert TARGET.read_text() == page(read_json(RESULTS))


def texts_of(path):
    return re.findall(r"<text[^>]*>([^<]+)</text>", path.read_text())


@pytest.mark.once
@pytest.mark.parametrize("name", ["attanet", "canet", "ccnet", "cross_cbam"])
def test_figures_of_networks_say_what_the_networks_are(name, tmp_path):
    """Channels and sizes are read from the networks: draw again by `docs/draw_networks.py`."""
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    spec = importlib.util.spec_from_file_location("draw_networks", ROOT / "docs/draw_networks.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.draw(name, tmp_path)
    drawn = texts_of(tmp_path / f"{name}.svg")
    assert len([text for text in drawn if re.fullmatch(r".*\d+, 1/\d+", text)]) > 6
    assert texts_of(ROOT / "docs" / "figures" / f"{name}.svg") == drawn
