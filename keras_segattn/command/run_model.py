"""The model of a run, and its options for evaluation and prediction."""

import json
from pathlib import Path

from keras_segattn.training import RunFolder
from keras_segattn.weights import load_keras_model


def find_model(path):
    """Returns the path of a run's model, or the given path if it is a `.keras` file.

    For an unfinished run, this is its best epoch so far.

    Raises:
        FileNotFoundError: If there is no model. The message names the searched files.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is neither a run nor a model file.")
    for model in (path / "model.keras", RunFolder(path).best):
        if model.is_file():
            return model
    raise FileNotFoundError(f"{path} contains neither model.keras nor {RunFolder(path).best.name}.")


def load_model(path):
    """Returns the network of a run or a `.keras` file, for inference."""
    return load_keras_model(find_model(path))


def evaluation_of(path):
    """Returns the options of `segment` with which a run is evaluated; none for a `.keras` file."""
    config = Path(path) / "config.json"
    if not config.is_file():
        return {}
    return json.loads(config.read_text(encoding="utf-8"))["decisive"].get("evaluation") or {}
