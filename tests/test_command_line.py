import sys

import pytest

from keras_segattn.__main__ import COMMANDS, main

pytestmark = pytest.mark.once


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["keras_segattn", *command.split(), "--help"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"python -m keras_segattn{'.' * bool(command)}{command}" in text
    assert ".keras" in text


def test_an_unknown_command_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["keras_segattn", "fly"])
    with pytest.raises(SystemExit):
        main()
    assert "invalid choice: 'fly'" in capsys.readouterr().err
