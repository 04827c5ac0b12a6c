"""Imports point one way, and the figure of the documentation shows them as they are."""

import graphlib

import pytest

from tests.examples import example

pytestmark = pytest.mark.once

drawing = example("draw_architecture", "docs")


def test_the_figure_shows_the_imports_of_today():
    assert drawing.TARGET.read_text() == drawing.figure()


def test_shared_modules_import_no_subpackage():
    upward = {
        module: names & drawing.PLACES.keys()
        for module, names in drawing.imports().items()
        if module not in drawing.PLACES and module != "__main__"
    }
    assert len(upward) > 5
    assert not any(upward.values()), upward


@pytest.mark.parametrize(
    ("subpackage", "name", "error"),
    [
        ("layers", "applications", graphlib.CycleError),
        ("images", "flops", ValueError),  # no circle, but not down
        ("missing_subpackage", "images", ValueError),
    ],
)
def test_an_import_against_the_order_is_an_error(subpackage, name, error, monkeypatch, tmp_path):
    imports = drawing.imports()
    imports.setdefault(subpackage, set()).add(name)
    monkeypatch.setattr(drawing, "imports", lambda: imports)
    if subpackage not in drawing.PLACES:
        monkeypatch.setattr(drawing, "PLACES", {**drawing.PLACES, subpackage: (0, 0, "use")})
    with pytest.raises(error):
        drawing.figure()
