"""The files beside an artifact: its inputs and outputs as JSON, and its class names.

Readers in JavaScript, C++ and other languages then need no library for ONNX or FlatBuffers, and
ONNX Runtime for the web does not expose a file's metadata. docs/artifact_files.md has the schema.
"""

import hashlib
import json
import os
from pathlib import Path

from keras_segattn.atomic_files import sync, write_text
from keras_segattn.export.format import DESCRIPTION, LABELS

SCHEMA = 1


def sidecar_paths(path, folder):
    """Returns the paths of the description and the labels of an artifact.

    For a folder, they are inside. A folder may contain several artifact files, so the names start
    with the artifact's own: `canet.onnx.json` and `canet.onnx.labels.txt`.

    Args:
        path: Path of the artifact.
        folder: Boolean, whether the artifact is a folder.
    """
    if folder:
        return path / DESCRIPTION, path / LABELS
    suffix = Path(DESCRIPTION).suffix
    return path.with_name(f"{path.name}{suffix}"), path.with_name(f"{path.name}.{LABELS}")


def check_sidecars(path, folder):
    """Raises a ValueError if a sidecar would replace a file not written by `export_model`."""
    description, labels = sidecar_paths(path, folder)
    if not description.exists() and not labels.exists():
        return
    if _are_own(description, labels):
        return
    strange = labels if not description.exists() or _is_own(description) else description
    raise ValueError(
        f"{strange} was not written by `export_model` and would be replaced. Pass another path, or "
        "move it away."
    )


def write_sidecars(artifact, path, format, metadata):
    """Writes the two files of a staged artifact.

    Args:
        artifact: Path of the staged artifact.
        path: The final path of the artifact.
        format: Its `Format`.
        metadata: Dict, as returned by `read_metadata`.

    Returns:
        The paths of the files: inside a folder, otherwise beside the staged artifact.
    """
    folder = not format.suffix
    content = {
        "schema": SCHEMA,
        "file": format.files[0] if folder else path.name,
        "sha256": None if folder else _sha256(artifact),
        "labels": sidecar_paths(path, folder)[1].name,
        "format": format.name,
        **metadata,
    }
    description, labels = sidecar_paths(artifact, folder)
    write_text(description, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    write_text(labels, "".join(f"{line}\n" for line in _lines(metadata)))
    return description, labels


def move_sidecars(sources, path):
    """Moves staged files beside an artifact that is a file."""
    for source, target in zip(sources, sidecar_paths(path, folder=False), strict=True):
        os.replace(source, target)
    sync(path.parent)


def remove_sidecars(path):
    """Removes the files beside an artifact that is about to be replaced.

    So they never describe another artifact, even if the process is killed here. The labels
    are removed first, because the description identifies them.
    """
    for target in reversed(sidecar_paths(path, folder=False)):
        target.unlink(missing_ok=True)
    sync(path.parent)


def _are_own(description, labels):
    if not _is_own(description):
        return False
    if not labels.exists():
        return True
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        return labels.read_text(encoding="utf-8").splitlines() == _lines(content)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _lines(metadata):
    """Returns the class names, or numbers, each on one line."""
    names = metadata["class_names"] or range(metadata["classes"])
    return [" ".join(str(name).split()) for name in names]


def _is_own(description):
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "keras_segattn" in content and "schema" in content


def _sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
