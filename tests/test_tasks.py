"""The tasks: tests of other environments exist, releases agree, and workflows name real tasks."""

import re
from pathlib import Path

import pytest

import keras_segattn
import tasks

pytestmark = pytest.mark.once

WORKFLOWS = sorted((tasks.ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("test", [*tasks.VERSION_TESTS, *tasks.BACKBONE_TESTS])
def test_tests_of_other_environments_exist(test):
    path, _, function = test.partition("::")
    path = Path(tasks.ROOT, path)
    assert path.exists()
    assert not function or f"def {function}(" in path.read_text()


def test_version_and_changelog_agree():
    assert tasks.released_version() == keras_segattn.__version__


@pytest.mark.parametrize(
    ("version", "heading", "tag", "message"),
    [
        ("1.2.0", "1.1.0 (2027-01-31)", None, "says 1.2.0, but the newest entry .* is 1.1.0"),
        ("1.2.0", "1.2.0 (2027-01-31)", "v1.1.0", "tag v1.2.0"),
        ("1.2.0", "1.2.0 (not released)", "v1.2.0", r"Enter the date: 1.2.0 \(2027"),
        ("1.2.0", "1.2.0 (2027-01-31)", "v1.2.0", None),
        ("1.2.0", "1.2.0 (not released)", None, None),
    ],
)
def test_a_release_needs_its_version_everywhere(
    version, heading, tag, message, tmp_path, monkeypatch
):
    (tmp_path / "keras_segattn").mkdir()
    (tmp_path / "keras_segattn/version.py").write_text(f'__version__ = "{version}"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {heading}\n\n- First.\n")
    monkeypatch.setattr(tasks, "ROOT", tmp_path)
    if message is None:
        assert tasks.released_version(tag) == version
    else:
        with pytest.raises(SystemExit, match=message):
            tasks.released_version(tag)


def test_the_wheel_is_tried_with_the_lines_that_begin_the_readme():
    assert "segment(model, PHOTO, " in tasks.first_lines()


@pytest.mark.parametrize(
    ("rest", "backends", "passed_on"),
    [
        ([], ["tensorflow", "jax", "torch"], []),
        (["jax", "tests/layers"], ["jax"], ["tests/layers"]),
        (["-k", "torch"], ["tensorflow", "jax", "torch"], ["-k", "torch"]),
    ],
)
def test_backends_before_other_arguments_choose(rest, backends, passed_on, monkeypatch):
    runs = []
    monkeypatch.setattr(tasks, "environment", lambda *_: "python")
    monkeypatch.setattr(tasks, "run", lambda command, **env: runs.append((command, env)))
    tasks.test(rest)
    assert [env["KERAS_BACKEND"] for _, env in runs] == backends
    end = ["-q", *tasks.PARALLEL, *passed_on]
    assert all(command[-len(end) :] == end for command, _ in runs)


@pytest.mark.parametrize(
    "path",
    [*WORKFLOWS, *(tasks.ROOT / name for name in (".ci/run", "README.md", "CONTRIBUTING.md"))],
    ids=lambda path: path.name,
)
def test_tasks_that_are_named_exist(path):
    named = re.findall(r"tasks\.py (\w+)", path.read_text())
    assert named
    assert set(named) <= set(tasks.TASKS)


def test_workflows_cover_the_versions_of_python():
    stated = re.findall(r"Python :: (3\.\d+)\"", tasks.read("pyproject.toml"))
    text = tasks.read(".github/workflows/tests.yml")
    lists = re.findall(r"python: \[(.+)\]", text)
    assert {version for found in lists for version in re.findall(r"3\.\d+", found)} == set(stated)
    backends = re.search(r"backend: \[(.+)\]", text)[1].split(", ")
    assert tuple(backends) == tasks.BACKENDS
