"""Writes docs/weights.md from the model cards beside the weights.

python docs/write_weights_page.py
"""

from pathlib import Path

import numpy as np

from keras_segattn.atomic_files import write_text
from keras_segattn.weights.bundled import BUNDLED, CLASS_NAMES, FOLDER, bundled_files, read_card

PAGE = Path(__file__).parent / "weights.md"
INTRODUCTION = """\
# Trained weights

<!-- Written by docs/write_weights_page.py from the cards beside the weights. -->

Trained networks are part of the package; nothing is downloaded:

```python
from keras_segattn.applications import AttaNet, CANet

model = CANet(weights="camvid")  # photos of roads
model.class_names  # ("Sky", "Building", "Pole", ...)
drawn = AttaNet(weights="road_scenes")  # drawings of roads
```

Files with a "+" in the table are in a second package:

```bash
pip install ./weights  # from a checkout
```

Arguments you omit, including the backbone, default to the values of the trained network. If there
are several trained networks of one kind, you get the one with the best test score, or the one with
the given `backbone`.

To fine-tune a network for other classes, load all its weights except the classifier:

```python
model = CANet(weights="camvid", classes=5, new_classifier=True)
```

For backbone weights and for the papers' own weights, see
[load torch weights](guides/torch_weights.md).

| network | call | million parameters | file | test mean IoU | test accuracy |
|---|---|---|---|---|---|
"""


def page():
    """Returns the text of the page."""
    files = bundled_files()
    rows = "".join(map(_row, files))
    return "\n".join([INTRODUCTION + rows, *map(_card, files)])


def _call(card, path):
    weights = next(name for name in BUNDLED if path.stem.endswith(name))
    return f'{card["network"]}(backbone="{card["arguments"]["backbone"]}", weights="{weights}")'


def _row(path):
    card, test = read_card(path), read_card(path)["scores"]["test"]
    with np.load(path) as archive:
        sizes = [
            array.size
            for key, array in archive.items()
            if array.dtype.kind == "f" and not key.startswith("auxiliary")
        ]
    size = path.stat().st_size / 1e6
    package = "" if path.parent == FOLDER else "+"
    return (
        f"| [{card['title']}](#{_anchor(card['title'])}) | `{_call(card, path)}` "
        f"| {sum(sizes) / 1e6:.1f} | {size:.1f} MB{package} "
        f"| {test['mean_iou']} | {test['pixel_accuracy']} |\n"
    )


def _anchor(title):
    return title.lower().replace(",", "").replace(" ", "-")


def _card(path):
    card = read_card(path)
    with np.load(path) as archive:
        names = archive[CLASS_NAMES].tolist()
    weakest = sorted(card["scores"]["test"]["iou"].items(), key=lambda item: item[1])[:3]
    rows = {
        "Network": card["description"],
        "Arguments": ", ".join(f"`{key}={value!r}`" for key, value in card["arguments"].items()),
        "Classes": ", ".join(names),
        "Data": card["data"],
        "Initial weights": card["starts_from"],
        "Terms": card["terms"],
        "Recipe": card["recipe"],
        "Seed": card["seed"],
        "Scores": "; ".join(_scores(split, scores) for split, scores in card["scores"].items()),
        "Weakest classes": ", ".join(f"{name} {iou:.1f}" for name, iou in weakest)
        + " (IoU on test)",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return f"## {card['title']}\n\n| | |\n|---|---|\n{table}\n\n**Limits.** {card['limits']}\n"


def _scores(split, scores):
    accuracy = f", pixel accuracy {scores['pixel_accuracy']}" if "pixel_accuracy" in scores else ""
    return f"{split}: mean IoU {scores['mean_iou']}{accuracy}"


if __name__ == "__main__":
    write_text(PAGE, page())
