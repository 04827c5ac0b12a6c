"""The model of a run, and how it is measured and used."""

import json
from pathlib import Path

from keras_segattn.training import RunFolder
from keras_segattn.weights import load_keras_model


def find_model(path):
    """Returns the path of the model of a run, which is that path itself for a `.keras` file.

    A run that is not finished gives its best epoch so far.

    Raises:
        FileNotFoundError: If there is no model; says where one was looked for.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"There is no run and no model {path}.")
    for model in (path / "model.keras", RunFolder(path).best):
        if model.is_file():
            return model
    raise FileNotFoundError(f"{path} holds neither model.keras nor {RunFolder(path).best.name}.")


def load_model(path):
    """Returns the network of a run or a `.keras` file, for inference."""
    return load_keras_model(find_model(path))


def evaluation_of(path):
    """Returns the options of `segment` by which a run is measured; none for a `.keras` file."""
    config = Path(path) / "config.json"
    if not config.is_file():
        return {}
    return json.loads(config.read_text(encoding="utf-8"))["decisive"].get("evaluation") or {}
