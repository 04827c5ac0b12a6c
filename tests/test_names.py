"""Names of modules, of exports and of test helpers."""

import importlib
import pkgutil
import re
import types
from pathlib import Path

import pytest

import keras_segattn

pytestmark = pytest.mark.once

PACKAGES = [
    "keras_segattn",
    *(
        module.name
        for module in pkgutil.walk_packages(keras_segattn.__path__, "keras_segattn.")
        if module.ispkg
    ),
]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_has_the_name_of_what_its_package_exports(package):
    package = importlib.import_module(package)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    hidden = [
        name
        for name in modules & {*vars(package), *getattr(package, "__all__", ())}
        if not isinstance(getattr(package, name), types.ModuleType)
    ]
    assert not hidden


def test_no_test_imports_from_a_test_module():
    """Helpers are in `tests/oracles.py`, `tests/golden.py` or the `cases.py` of a test folder."""
    tests = Path(__file__).parent
    pattern = re.compile(r"^\s*(from|import) (tests\.|\.)?([\w.]*\.)?test_\w+", re.MULTILINE)
    assert not [
        f"{path.relative_to(tests)}: {found.group()}"
        for path in sorted(tests.rglob("*.py"))
        for found in pattern.finditer(path.read_text())
    ]
