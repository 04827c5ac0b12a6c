"""The model of a run, with its options for evaluation and prediction."""

import json
import zipfile
from pathlib import Path

import keras

from keras_segattn.applications import InstanceSegmentationModel
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


def finds_objects(path):
    """Returns whether a run or a `.keras` file has an instance segmentation network.

    It reads the file without loading the network. For a damaged file, it returns `False`.
    """
    try:
        with zipfile.ZipFile(find_model(path)) as file:
            name = json.loads(file.read("config.json")).get("registered_name")
    except (zipfile.BadZipFile, KeyError, ValueError, AttributeError):
        return False
    return name == keras.saving.get_registered_name(InstanceSegmentationModel)


def evaluation_of(path):
    """Returns the options of `segment` for evaluating a run; an empty dict for a `.keras` file."""
    return _settings(path).get("evaluation") or {}


def sides_of(path):
    """Returns the sides that a run resizes images to, as arguments of `segment_instances`."""
    settings = _settings(path)
    return {name: settings.get(name) for name in ("short_side", "long_side")}


def _settings(path):
    config = Path(path) / "config.json"
    if not config.is_file():
        return {}
    return json.loads(config.read_text(encoding="utf-8"))["decisive"]
