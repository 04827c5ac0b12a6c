"""Runs for every combination of listed settings, and their names."""

import itertools
import re
from pathlib import Path

from keras_segattn.command.configuration import read_settings

MOST_RUNS = 100
# Characters allowed in folder names on every system.
LONGEST_NAME = 100


def read_sweep(texts):
    """Returns a dict from settings to lists of values, from texts such as `"network=CANet,CCNet"`.

    Lists are separated by commas, or written as YAML: `crop=[[256, 256], [512, 512]]`.

    Raises:
        ValueError: If a text has no list, or there would be more than 100 runs.
    """
    sweep, count = {}, 1
    for text in texts:
        name, sign, values = text.partition("=")
        if not sign or not values:
            raise ValueError(f"--sweep must be NAME=A,B. Received: {text!r}")
        listed = values if values.startswith("[") else f"[{values}]"
        (found,) = read_settings([f"{name}={listed}"]).values()
        sweep[name] = found
        count *= len(found)
    if count > MOST_RUNS:
        raise ValueError(
            f"--sweep gives {count} runs; the limit is {MOST_RUNS}. Pass fewer values."
        )
    return sweep


def combinations(sweep):
    """Returns a list of dicts of settings, one per run; one empty dict without a sweep."""
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]


def run_name(run, settings):
    """Returns the folder of a run with other settings: `runs/mine-network=AttaNet`."""
    words = [f"{name.split('.')[-1]}={value}" for name, value in settings.items()]
    text = re.sub(r"[^\w=.+-]+", "_", "-".join(words))[:LONGEST_NAME].rstrip("._-")
    run = Path(run)
    return str(run.with_name(f"{run.name}-{text}" if text else run.name))
