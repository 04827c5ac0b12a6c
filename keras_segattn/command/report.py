"""The report of a run: one HTML page with everything in it."""

import base64
import csv
import html
import json
from pathlib import Path

from keras_segattn.atomic_files import write_text
from keras_segattn.command.configuration import FILE
from keras_segattn.command.report_page import PAGE, SECTION
from keras_segattn.wording import counted

REPORT = "report.html"
SCORES = ("mean_iou", "mean_f1", "pixel_accuracy")
MOST_ROWS = 10
# Pictures of the page: the file in the folder of the run, and its title.
CURVES = "curves.png"
OF_PART = {
    "confusions.png": "Confusion matrix",
    "worst.png": "The worst images",
    "best.png": "The best images",
}


def write_report(run):
    """Writes `report.html` into the folder of a run, from the files there; returns its path.

    Leaves out missing files, such as the pictures of a run that was evaluated without them.

    Args:
        run: A `RunFolder`.
    """
    metrics = _read_json(run.path / "metrics.json")
    parts = [part for part in ("test", "val") if part in metrics]
    sections = [("Scores", _scores(metrics, parts))] if parts else []
    sections.append(("Curves", _picture(run.path / CURVES)))
    for part in parts[:1]:
        folder = run.path / "evaluation" / part
        sections += [(f"{title}, {part}", _picture(folder / f)) for f, title in OF_PART.items()]
        sections.append((f"Images by score, {part}", _worst_rows(folder / "images.csv")))
    sections.append(
        ("Some validation images after the last epoch", _last_picture(run.path / "pictures"))
    )
    sections.append(("Next steps", _commands(run.path)))
    sections.append(("Configuration", _text(run.path / FILE)))
    body = "".join(SECTION.format(title=t, content=c) for t, c in sections if c)
    path = run.path / REPORT
    title = html.escape(run.path.name)
    write_text(path, PAGE.format(title=title, summary=_summary(run, metrics), body=body))
    return path


def _summary(run, metrics):
    with open(run.log, newline="", encoding="utf-8") as file:
        epochs = len(list(csv.DictReader(file)))
    part = next((part for part in ("test", "val") if part in metrics), None)
    said = counted(epochs, "epoch")
    if part is not None:
        said += f"; {part}: " + ", ".join(
            f"{name.replace('_', ' ')} {_percent(metrics[part][name])}" for name in SCORES
        )
    best = _read_json(run.checkpoints / "best.json")
    return said + (f"; the best epoch is {best['epoch']}" if best.get("epoch") else "")


def _scores(metrics, parts):
    head = "".join(f"<th>{part}</th>" for part in parts)
    rows = [(name.replace("_", " "), [metrics[part][name] for part in parts]) for name in SCORES]
    names = metrics[parts[0]]["iou"]
    rows += [
        (f"IoU of {name}", [metrics[part]["iou"].get(name) for part in parts]) for name in names
    ]
    lines = (
        f"<tr><th>{html.escape(name)}</th>"
        + "".join(f"<td>{_percent(value)}</td>" for value in values)
        + "</tr>"
        for name, values in rows
    )
    return f"<table><tr><th></th>{head}</tr>{''.join(lines)}</table>"


def _worst_rows(path):
    if not path.is_file():
        return ""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = (
        f"<tr><th>{html.escape(row['image'])}</th>"
        + "".join(
            f"<td>{_percent(float(row[name]))}</td>" if row[name] else "<td>-</td>"
            for name in SCORES
        )
        + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in SCORES)
    more = f"<p>{len(rows)} images in {html.escape(path.name)}, the worst first.</p>"
    return f"<table><tr><th>image</th>{head}</tr>{''.join(lines)}</table>{more}"


def _commands(folder):
    folder = folder.as_posix()
    lines = [
        f"keras-segattn predict {folder} photos/ --overlay    # masks of other images",
        f"keras-segattn evaluate {folder}                     # the same scores, or on other data",
        f"keras-segattn export {folder} --format onnx         # for ONNX Runtime",
        f"keras-segattn serve {folder}                        # over HTTP",
        f"keras-segattn demo {folder}                         # in the browser",
        f"keras-segattn train {folder}/{FILE} --network AttaNet   # another run",
    ]
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def _text(path):
    if not path.is_file():
        return ""
    return f"<pre>{html.escape(path.read_text(encoding='utf-8'))}</pre>"


def _picture(path):
    if path is None or not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}">'


def _last_picture(folder):
    return _picture(max(Path(folder).glob("epoch-*.png"), default=None))


def _percent(value):
    return "-" if value is None else f"{100 * value:.1f}"


def _read_json(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
