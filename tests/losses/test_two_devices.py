"""Regions reach over all devices of a strategy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.tensorflow
def test_a_step_on_two_devices_is_that_on_one():
    command = [sys.executable, "-m", "tests.losses.two_devices"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert output.returncode == 0, output.stderr[-3000:]
    found = json.loads(output.stdout.splitlines()[-1])
    assert found["devices"] == 2
    assert {name: value for name, value in found["differences"].items() if value > 1e-5} == {}
