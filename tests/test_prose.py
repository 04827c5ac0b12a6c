"""Rules of prose that a machine can check, over sources and pages."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("keras_segattn", "benchmarks", "docs", "examples", "tests")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.md"))]
    if path.name != "CHANGELOG.md"
)
NOTEBOOKS = sorted((ROOT / "examples").rglob("*.ipynb"))
BRITISH = re.compile(
    r"\b(\w*colour\w*|\w*neighbour\w*|grey\w*|licenc\w+|artefact\w*|behaviour\w*|favour\w*"
    r"|centre[sd]?|metres?|catalogue\w*|labell\w+|modell\w+|cancelled|travell\w+|whilst"
    r"|(?:normal|initial|optim|synchron|quant|summar|visual|organ|recogn|util|general|regular|serial"
    r"|parallel|real)is(?:e|ed|es|er|ers|ing|ation)|analys(?:e|ed|es|ing))\b",
    re.IGNORECASE,
)
# Phrases that point at a thing instead of naming it, or that are not idiomatic.
POINTING = re.compile(r"\b(that of|those of|in place of|at hand|alone|per cent)\b", re.IGNORECASE)
# Docstrings that begin as a question: a noun phrase, an imperative or "Returns" says the same.
QUESTION = re.compile(r"(What|Which|How|Whether|Where|Why|Who)\b")

SECTION = re.compile(
    r"^(?:Args|Attributes|Call arguments|Raises):\n((?:(?: {4}.*)?\n)*(?: {4}.*)?)", re.MULTILINE
)
# A line at the margin of such a section begins an entry; continuation lines are indented further.
STRAY = re.compile(r"^ {4}(?! |\*{0,2}[\w., ]+:).*", re.MULTILINE)


def relative(path):
    return str(path.relative_to(ROOT))


def docstrings(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield node, text


@pytest.mark.parametrize("path", [*SOURCES, *PAGES, *NOTEBOOKS], ids=relative)
def test_spelling_is_american(path):
    if path == Path(__file__):
        return
    assert not BRITISH.findall(path.read_text())


@pytest.mark.parametrize(
    "path",
    [path for path in [*SOURCES, *PAGES, *NOTEBOOKS] if "tests" not in path.parts],
    ids=relative,
)
def test_prose_names_its_subject(path):
    # A page or a comment may break its lines within a phrase.
    text = re.sub(r"\n\s*(# )?", " ", path.read_text())
    assert not POINTING.findall(text)


def test_pages_install_in_one_form():
    """There is no release yet: pages install from a checkout, as the first of them explains."""
    install = re.compile(r"pip install\s+[\"']keras-segattn\[")
    found = [relative(path) for path in [*SOURCES, *PAGES] if install.search(path.read_text())]
    assert [name for name in found if name.endswith(".md")] == ["docs/get_started.md"]
    assert all(name.startswith(("keras_segattn/", "tests/")) for name in found[:-1])


def test_no_docstring_begins_as_a_question():
    assert not [
        f"{relative(path)}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}"
        for path in SOURCES
        for node, text in docstrings(path)
        if QUESTION.match(text)
    ]


def test_entries_of_docstrings_go_on_indented():
    assert not [
        f"{relative(path)}:{node.lineno}: {line}"
        for path in SOURCES
        for node, text in docstrings(path)
        for section in SECTION.findall(text)
        for line in STRAY.findall(section)
    ]
