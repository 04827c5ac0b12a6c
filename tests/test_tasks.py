"""The tasks name tests that exist."""

from pathlib import Path

import pytest

import tasks


@pytest.mark.once
@pytest.mark.parametrize("test", [*tasks.VERSION_TESTS, *tasks.BACKBONE_TESTS])
def test_tests_of_other_environments_exist(test):
    path, _, function = test.partition("::")
    path = Path(tasks.ROOT, path)
    assert path.exists()
    assert not function or f"def {function}(" in path.read_text()
