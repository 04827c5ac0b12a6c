"""The configuration of a run: one typed object, one YAML file."""

import dataclasses
from pathlib import Path

from keras_segattn.atomic_files import write_text
from keras_segattn.command.data_source import DataSource
from keras_segattn.recipes import Recipe
from keras_segattn.training import TrainingOptions

FILE = "config.yaml"
HEAD = """\
# A training run of keras-segattn. To resume it:  keras-segattn train {path} --resume
# To change settings, train a new run from it:    keras-segattn train {path} --epochs 50 --run NEW
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration:
    """Everything that determines a run.

    Args:
        data: A `DataSource`.
        recipe: A `Recipe`.
        options: A `TrainingOptions`.
        run: Path of the run folder.
    """

    data: DataSource
    recipe: Recipe
    options: TrainingOptions
    run: str


FIELDS = [field.name for field in dataclasses.fields(Configuration)]


def read_configuration(path):
    """Returns the `Configuration` in a YAML file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not a configuration. The message names the wrong key.
    """
    path = Path(path)
    return configuration_from(_yaml().safe_load(path.read_text(encoding="utf-8")), path)


def is_configuration(path):
    """Returns whether a YAML file contains the configuration of a run."""
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    content = _yaml().safe_load(path.read_text(encoding="utf-8"))
    return isinstance(content, dict) and {"data", "recipe"} <= content.keys()


def write_configuration(path, configuration):
    """Writes a `Configuration` as YAML, including default values."""
    text = _yaml().safe_dump(_plain(dataclasses.asdict(configuration)), sort_keys=False)
    write_text(path, HEAD.format(path=path) + text)


def configuration_from(values, origin):
    """Returns the `Configuration` for a dict of plain values, as read from YAML.

    Args:
        values: The dict.
        origin: Its source, for messages.

    Raises:
        ValueError: If a key or a value is wrong. The message names it.
    """
    found = _parser().instantiate(_namespace(values, origin))
    return Configuration(**{name: getattr(found, name) for name in FIELDS})


def change(configuration, settings):
    """Returns a configuration with some settings replaced.

    Args:
        configuration: A `Configuration`.
        settings: Dict from names to values. A name is a field of the recipe, or, with the prefix
            `data.` or `options.`, of the data or the options. Further dots select dict entries:
            `network_arguments.fusion`.

    Raises:
        ValueError: If the field does not exist, or the value has another type.
    """
    values = dataclasses.asdict(configuration)
    for name, value in settings.items():
        parts = name.split(".")
        if parts[0] not in values or len(parts) == 1:
            parts = ["recipe", *parts]
        if parts[1] not in values[parts[0]]:
            known = ", ".join(values[parts[0]])
            raise ValueError(
                f"--set {name}: the {parts[0]} has no setting {parts[1]!r}. Known settings: {known}"
            )
        place = values
        for part in parts[:-1]:
            if place.get(part) is None:
                place[part] = {}
            place = place[part]
            if not isinstance(place, dict):
                raise ValueError(
                    f"--set {name}: {part} is {place!r}, not a dict with entries. Set {part} "
                    "itself."
                )
        place[parts[-1]] = value
        # Epochs and steps both give the length of training; only one may be set.
        other = {"recipe.epochs": "steps", "recipe.steps": "epochs"}.get(".".join(parts))
        if other and value is not None:
            values["recipe"][other] = None
    return configuration_from(values, "--set")


def read_settings(texts):
    """Returns a dict of settings from texts such as `"network_arguments.fusion=addition"`.

    Values are YAML: `crop=[256, 256]`, `class_weights=null`.

    Raises:
        ValueError: If a text has no `=`, or its value is not YAML.
    """
    yaml, settings = _yaml(), {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise ValueError(f"--set takes NAME=VALUE. Received: {text!r}")
        try:
            settings[name.strip()] = _numbers(yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise ValueError(f"--set {text}: the value is not valid YAML: {error}") from error
    return settings


def _plain(value):
    """Converts tuples to lists, because plain YAML has no tuples."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _numbers(value):
    """Converts numbers such as 1e-3, which YAML reads as text."""
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _namespace(values, origin):
    try:
        return _parser().parse_object(values)
    except Exception as error:  # jsonargparse raises argparse's errors, among others.
        raise ValueError(f"{origin} is not the configuration of a run: {error}") from error


def _parser():
    try:
        from jsonargparse import ArgumentParser
    except ImportError as error:
        raise _missing(error) from error
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Configuration)
    return parser


def _yaml():
    try:
        import yaml
    except ImportError as error:
        raise _missing(error) from error
    return yaml


def _missing(error):
    return ImportError(
        f"This command needs {error.name} to read YAML: pip install 'keras-segattn[cli]'"
    )
