"""The command `keras-segattn`, from its help to an unknown subcommand."""

import subprocess
import sys

import pytest

from keras_segattn.command.main import COMMANDS, main

pytestmark = pytest.mark.once


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"\n  keras-segattn {command}" in text or f"\n    keras-segattn {command}" in text


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["fly"])
    assert "invalid choice: 'fly'" in capsys.readouterr().err


def test_the_package_is_a_command():
    command = [sys.executable, "-m", "keras_segattn", "compare", "--help"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "usage: keras-segattn compare" in found
