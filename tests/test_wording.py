"""Nouns agree with their numbers."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from keras_segattn.inference import Segmentation
from keras_segattn.wording import counted

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
# Nouns that the package counts, behind a number that may be 1.
NOUNS = "class|color|epoch|fault|image|loss|mask|mean|sample|scene|step|tensor"
PLURAL = re.compile(rf" ({NOUNS})(es|s)\b")
FIXED = re.compile(r"\b([A-Z_]+|ignore_class|dtype)$")
SOURCES = [*(ROOT / "keras_segattn").rglob("*.py"), *(ROOT / "examples").glob("*.py")]


def test_counted():
    assert [counted(n, "class") for n in (0, 1, 2)] == ["0 classes", "1 class", "2 classes"]
    assert counted(1, "finished epoch") == "1 finished epoch"
    image = np.zeros((2, 2, 3), "uint8")
    assert repr(Segmentation(image, image[..., 0], None, 1)) == "Segmentation(2x2, 1 class)"


def plurals(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            for before, value, text in zip(
                [None, *node.values], node.values, node.values[1:], strict=False
            ):
                if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
                    continue
                number = ast.unparse(value.value)
                # "For each of the 3 classes": a message about several.
                several = isinstance(before, ast.Constant) and before.value.endswith(" the ")
                if PLURAL.match(text.value) and not several and not FIXED.search(number):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {number}{text.value}"


def test_numbers_in_messages_are_counted():
    found = [line for path in SOURCES for line in plurals(path)]
    assert found == []
