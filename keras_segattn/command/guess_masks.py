"""Guesses about masks: labels or colors, how many classes, which task."""

import re
from typing import NamedTuple

import numpy as np

from keras_segattn.images.decoding import decode
from keras_segattn.images.masks import LOSSY
from keras_segattn.spread import evenly_spread
from keras_segattn.task import BACKGROUND

LOOKED_AT = 100
VOID = 255
# More colors indicate a photo, or a mask with blurred borders.
MOST_COLORS = 64
NAME_FILES = ("classes.txt", "labels.txt", "class_names.txt", "names.txt", "classes.names")


class MaskGuess(NamedTuple):
    """Arguments of `SegmentationFolder` that fit the masks, and the reasons as text."""

    arguments: dict
    reasons: list


def guess_masks(paths, names=None, task=None, label_map=None):
    """Returns a `MaskGuess` for mask files.

    Args:
        paths: List of mask files; some of them are read.
        names: List of class names from the user or a file, or `None`.
        task: The task from the user, or `None`.
        label_map: Dict from the labels in the files to other labels, from the user, or `None`.

    Raises:
        ValueError: If the files are not masks; the message gives the reason.
    """
    labels, colors = set(), set()
    chosen = [paths[index] for index in evenly_spread(len(paths), LOOKED_AT)]
    for path in chosen:
        mask = decode(path, np.asarray, upright=False)
        if mask.format in LOSSY:
            raise ValueError(
                f"{path} is a {mask.format} file, whose compression changes labels. Save masks as "
                "PNG."
            )
        pixels = mask.pixels
        if pixels.ndim == 3 and pixels.shape[2] in (3, 4):
            flat = pixels[..., :3].reshape(-1, 3)
            colors.update(map(tuple, np.unique(flat, axis=0)[: MOST_COLORS + 1].tolist()))
        elif pixels.ndim == 2:
            labels.update(np.unique(pixels)[: VOID + 2].tolist())
        else:
            return _planes(pixels, names)
    if labels and colors:
        raise ValueError(
            f"Some masks in {chosen[0].parent} are gray and others are in color. Save all masks "
            "in the same form."
        )
    seen = f"{len(chosen)} of {len(paths)} masks contain"
    if colors:
        return _colors(sorted(colors), names, task, seen)
    if label_map is None:
        return _labels(sorted(labels), names, task, f"{seen} the labels {_listed(sorted(labels))}")
    mapped = sorted({label_map.get(label, label) for label in labels})
    said = f"{seen} the labels {_listed(sorted(labels))}, mapped to {_listed(mapped)}"
    guess = _labels(mapped, names, task, said)
    if guess.arguments["label_map"] is not None:
        raise ValueError(
            f"{said}. The label map must give classes from 0 up, and {VOID} for void: "
            "--set 'data.label_map={0: 0, 128: 255, 255: 1}' for example."
        )
    return guess._replace(arguments={**guess.arguments, "label_map": label_map})


def _labels(labels, names, task, said):
    known = [label for label in labels if label != VOID]
    if max(labels) > VOID or min(labels) < 0:
        raise ValueError(f"{said}. Labels must be from 0 to {VOID}.")
    if len(labels) < 2:
        raise ValueError(f"{said}. Training needs at least two labels.")
    if set(labels) == {0, VOID}:
        return _binary({VOID: 1}, names, task, f"{said}: {VOID} is the foreground")
    if set(known) == {0, 1} and task != "multiclass" and len(names or ()) <= 2:
        void = f"; {VOID} is void" if VOID in labels else ""
        return _binary(None, names, task, f"{said}: 1 is the foreground{void}")
    if len(labels) == 2 and task != "multiclass":
        low, high = labels
        return _binary({low: 0, high: 1}, names, task, f"{said}: {high} is the foreground")
    # Labels such as 0, 50, 100, 150 are gray values chosen to be visible.
    label_map, count = None, max(known) + 1
    if names is None and count > 2 * len(known) + 8:
        label_map = {label: index for index, label in enumerate(labels)}
        count = len(labels)
        said += (
            ", renumbered from 0; to make 128 of 0, 128 and 255 void, for example: "
            "--set 'data.label_map={0: 0, 128: 255, 255: 1}'"
        )
    elif known[0] > 0 and len(known) == known[-1] - known[0] + 1 and len(names or known) < count:
        label_map = {label: index for index, label in enumerate(known)}
        count = len(known)
        said += f"; the lowest, {known[0]}, is the first class"
    if VOID in labels and (label_map is None or VOID not in label_map):
        said += f"; {VOID} is void"
    if names is not None and len(names) < count:
        raise ValueError(f"{said}, but there are {len(names)} class names: {names}.")
    names = names or [f"class {label}" for label in (label_map or range(count))]
    arguments = {"task": "multiclass", "class_names": names, "label_map": label_map}
    return MaskGuess(arguments, [said])


def _binary(label_map, names, task, said):
    names = names or ["foreground"]
    if task == "multilabel":
        raise ValueError(f"{said}: with one label per pixel, the task cannot be 'multilabel'.")
    names = [BACKGROUND, *names] if len(names) == 1 else names
    return MaskGuess({"task": "binary", "class_names": names, "label_map": label_map}, [said])


def _colors(colors, names, task, seen):
    if len(colors) > MOST_COLORS:
        raise ValueError(
            f"{seen} more than {MOST_COLORS} colors: they are photos, or have blurred edges. Save "
            "masks without smoothing, as PNG."
        )
    if len(colors) < 2:
        raise ValueError(
            f"{seen} one color, {_hex(colors[0])}. Training needs at least two colors."
        )
    black = colors[0] == (0, 0, 0)
    said = f"{seen} {len(colors)} colors, {_listed([*map(_hex, colors)])}"
    if len(colors) == 2 and task != "multiclass":
        guess = _binary(None, names, task, f"{said}: {_hex(colors[1])} is the foreground")
        return guess._replace(arguments={**guess.arguments, **_palette(colors)})
    if names is not None and len(names) == len(colors) - 1 and black:
        colors, said = colors[1:], f"{said}; black is void"
    elif names is not None and len(names) != len(colors):
        raise ValueError(
            f"{said}, but there are {len(names)} class names: {names}. Pass the colors as "
            "`palette`, in the order of the names."
        )
    names = names or [BACKGROUND if c == (0, 0, 0) else _hex(c) for c in colors]
    arguments = {"task": "multiclass", "class_names": names, **_palette(colors)}
    return MaskGuess(arguments, [said])


def _palette(colors):
    return {"color_masks": True, "palette": [list(color) for color in colors]}


def _planes(pixels, names):
    planes = pixels.shape[2]
    names = names or [f"class {index}" for index in range(planes)]
    if len(names) != planes:
        raise ValueError(f"Masks have {planes} bands, but there are {len(names)} class names.")
    said = f"masks have {planes} bands: several labels per pixel"
    return MaskGuess({"task": "multilabel", "class_names": names}, [said])


def read_names(*folders):
    """Returns the class names in a text file of the folders, and the file; or `None` twice.

    Each line is a name, or a number and a name.
    """
    for path in (folder / name for folder in folders for name in NAME_FILES):
        if path.is_file():
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
            lines = [line for line in lines if line and not line.startswith("#")]
            return [re.sub(r"^\d+\s*[:,=]?\s+", "", line) for line in lines], path
    return None, None


def _listed(labels):
    shown = ", ".join(map(str, labels[:12]))
    return shown + (f", ... {labels[-1]}" if len(labels) > 12 else "")


def _hex(color):
    return "#{:02x}{:02x}{:02x}".format(*color)
