"""Compares runs in a table.

    keras-segattn compare runs/*
    keras-segattn compare runs/* --split test --csv comparison.csv

The columns after the scores are the settings in which the runs differ.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np

from keras_segattn.atomic_files import atomic_path
from keras_segattn.wording import counted

SCORES = ("mean_iou", "mean_f1", "pixel_accuracy")
# Settings that do not affect training.
SILENT = ("our_choices", "source")
WIDEST = 40


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog="keras-segattn compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="default: val")
    parser.add_argument("--csv", type=Path, help="also write the table to this file")
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    try:
        print_comparison(arguments.runs, arguments.split, arguments.csv)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


def print_comparison(runs, split="val", path=None):
    """Prints the scores of runs, the best first, and their differing settings.

    Args:
        runs: Paths of folders; folders without a run are skipped.
        split: `"val"` or `"test"`. Defaults to `"val"`.
        path: Path of a CSV file to write, or `None`. Defaults to `None`.

    Raises:
        ValueError: If no folder contains a run.
    """
    rows = comparison(runs, split)
    texts = [list(rows[0]), *([_text(*item) for item in row.items()] for row in rows)]
    widths = [max(len(line[column]) for line in texts) for column in range(len(texts[0]))]
    for line in texts:
        print(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )
    if path is not None:
        with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def summary(runs, split="val"):
    """Returns the mean and deviation of mean IoU and F1 over runs, as text."""
    rows = comparison(runs, split)
    found = {name: np.array([row[name] for row in rows], float) for name in SCORES[:2]}
    scores = ", ".join(
        f"{name.replace('_', ' ')} {100 * values.mean():.1f} (deviation {100 * values.std():.1f})"
        for name, values in found.items()
    )
    return f"over {counted(len(rows), 'run')}: {scores}"


def comparison(runs, split="val"):
    """Returns a list with a dict per run, by decreasing mean IoU: path, scores and settings."""
    found = {}
    for run in map(Path, runs):
        config = run / "config.json"
        if config.is_file():
            found[run.as_posix()] = _flat(json.loads(config.read_text())["decisive"]), run
    if not found:
        raise ValueError(
            f"Found no run in {counted(len(list(runs)), 'folder')}. Pass folders that contain "
            "config.json, such as runs/*."
        )
    names = dict.fromkeys(name for settings, _ in found.values() for name in settings)
    differ = [
        name
        for name in names
        if len({json.dumps(settings.get(name)) for settings, _ in found.values()}) > 1
    ]
    rows = []
    for path, (settings, run) in found.items():
        metrics = run / "metrics.json"
        scores = json.loads(metrics.read_text()).get(split, {}) if metrics.is_file() else {}
        row = {"run": path, **{name: scores.get(name) for name in SCORES}}
        rows.append({**row, **{name: settings.get(name) for name in differ}})
    return sorted(rows, key=lambda row: (row["mean_iou"] is None, -(row["mean_iou"] or 0)))


def _flat(settings, prefix=""):
    flat = {}
    for name, value in settings.items():
        if name in SILENT or name.split(" ")[-1] == "data" or "hash of" in name:
            continue
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def _text(name, value):
    if value is None:
        return "-"
    return f"{100 * value:.1f}" if name in SCORES else str(value)[:WIDEST]
