"""The notebooks run from top to bottom in a kernel."""

import os
import re
from pathlib import Path

import pytest

import keras_segattn

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
# The slow parts of the notebooks, made small.
SMALLER = (
    ("EPOCHS = 30", "EPOCHS = 1"),
    ("count=64", "count=8"),
    ('("train", 64)', '("train", 8)'),
    ('("val", 8)', '("val", 2)'),
)

# The modules that each extra is for.
MODULES = {
    "tensorflow": ["tensorflow"],
    "data": ["PIL"],
    "visualization": ["matplotlib"],
    "export": ["tensorflow", "onnx", "onnxruntime", "tf2onnx"],
}


def notebook(path):
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(path, as_version=4)


@pytest.mark.once
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path):
    for cell in notebook(path).cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


@pytest.mark.once
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_code_installs_this_version_where_it_is_missing(path, tmp_path, monkeypatch):
    interactive = pytest.importorskip("IPython.core.inputtransformer2")
    source = next(cell.source for cell in notebook(path).cells if cell.cell_type == "code")
    code = interactive.TransformerManager().transform_cell(source)
    calls = []
    names = {
        "get_ipython": lambda: type("", (), {"run_line_magic": lambda _, *a: calls.append(a)})()
    }
    exec(code, names)
    assert not calls  # it is here
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exec(code, names)
    ((magic, line),) = calls
    wheel, extras = re.search(r"(keras_segattn-.+\.whl)\[(.+)\]", line).groups()
    assert magic == "pip"
    assert wheel == f"keras_segattn-{keras_segattn.__version__}-py3-none-any.whl"
    settings = (ROOT / "pyproject.toml").read_text()
    assert all(f"\n{extra} = [" in settings for extra in extras.split(","))


@pytest.mark.once
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_code_installs_each_missing_package(path, monkeypatch):
    # Another notebook in the same session may have installed this package with fewer extras.
    interactive = pytest.importorskip("IPython.core.inputtransformer2")
    source = next(cell.source for cell in notebook(path).cells if cell.cell_type == "code")
    code = interactive.TransformerManager().transform_cell(source)
    extras = re.search(r"\.whl\[(.+?)\]", source)[1].split(",")
    for missing in {module for extra in extras for module in MODULES[extra]}:
        calls = []
        magic = type("", (), {"run_line_magic": lambda _, *a, calls=calls: calls.append(a)})
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda name, missing=missing: name != missing or None
        )
        exec(code, {"get_ipython": magic})
        assert calls, missing


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of the cells of every notebook.

    One kernel imports TensorFlow once for all; each notebook begins without names, in an empty
    folder.
    """
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    cells, ends = [], []
    for path in NOTEBOOKS:
        folder = str(tmp_path_factory.mktemp(path.stem))
        start = f"%reset -f\nimport os\nos.chdir({folder!r})\n%reset -f"
        book = notebook(path)
        for cell in book.cells:
            for large, small in SMALLER:
                cell.source = cell.source.replace(large, small)
        cells += [nbformat.v4.new_code_cell(start), *book.cells]
        ends.append(len(cells))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # each notebook numbers its own
    whole = nbformat.v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        nbclient.NotebookClient(
            whole, timeout=300, kernel_name="python3", allow_errors=True
        ).execute()
    starts = [0, *ends[:-1]]
    return {
        path: [output for cell in whole.cells[start:end] for output in cell.get("outputs", [])]
        for path, start, end in zip(NOTEBOOKS, starts, ends, strict=True)
    }


@pytest.mark.tensorflow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, outputs):
    errors = [output for output in outputs[path] if output.output_type == "error"]
    assert not errors, "\n".join(errors[0].traceback)
    pictures = [output for output in outputs[path] if "image/png" in output.get("data", {})]
    assert pictures or path.stem == "export_and_compare"


@pytest.mark.once
def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 4
