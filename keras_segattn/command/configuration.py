"""The configuration of a run: one typed object, one YAML file."""

import dataclasses
from pathlib import Path

from keras_segattn.atomic_files import write_text
from keras_segattn.command.data_source import DataSource
from keras_segattn.recipes import Recipe
from keras_segattn.training import TrainingOptions

FILE = "config.yaml"
HEAD = """\
# A training of keras-segattn. Go on with it:  keras-segattn train {path} --resume
# Change it here or by flags:                  keras-segattn train {path} --epochs 50 --run NEW
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration:
    """All that decides a run.

    Args:
        data: A `DataSource`.
        recipe: A `Recipe`.
        options: A `TrainingOptions`.
        run: Path of the folder of the run.
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
        ValueError: If it is no configuration; names the key that is wrong.
    """
    path = Path(path)
    return configuration_from(_yaml().safe_load(path.read_text(encoding="utf-8")), path)


def is_configuration(path):
    """Returns whether a YAML file holds a configuration of a run."""
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    content = _yaml().safe_load(path.read_text(encoding="utf-8"))
    return isinstance(content, dict) and {"data", "recipe"} <= content.keys()


def write_configuration(path, configuration):
    """Writes a `Configuration` as YAML; values that are the default are written too."""
    text = _yaml().safe_dump(_plain(dataclasses.asdict(configuration)), sort_keys=False)
    write_text(path, HEAD.format(path=path) + text)


def configuration_from(values, origin):
    """Returns the `Configuration` of a dict of plain values, such as YAML gives.

    Args:
        values: The dict.
        origin: Where it is from, for messages.

    Raises:
        ValueError: If a key or a value is wrong; names it.
    """
    found = _parser().instantiate(_namespace(values, origin))
    return Configuration(**{name: getattr(found, name) for name in FIELDS})


def change(configuration, settings):
    """Returns a configuration with some settings replaced.

    Args:
        configuration: A `Configuration`.
        settings: Dict from names to values. A name is a field of the recipe, or of the data or the
            options after `data.` or `options.`; a dot leads into a dict:
            `network_arguments.fusion`.

    Raises:
        ValueError: If there is no such field, or the value is of another type.
    """
    values = dataclasses.asdict(configuration)
    for name, value in settings.items():
        parts = name.split(".")
        if parts[0] not in values or len(parts) == 1:
            parts = ["recipe", *parts]
        if parts[1] not in values[parts[0]]:
            known = ", ".join(values[parts[0]])
            raise ValueError(
                f"--set {name}: there is no setting {parts[1]!r} among those of the {parts[0]}. "
                f"There are: {known}"
            )
        place = values
        for part in parts[:-1]:
            if place.get(part) is None:
                place[part] = {}
            place = place[part]
            if not isinstance(place, dict):
                raise ValueError(f"--set {name}: {part} is {place!r}, in which nothing can be set.")
        place[parts[-1]] = value
        # A training has one length.
        other = {"recipe.epochs": "steps", "recipe.steps": "epochs"}.get(".".join(parts))
        if other and value is not None:
            values["recipe"][other] = None
    return configuration_from(values, "--set")


def read_settings(texts):
    """Returns a dict of settings from texts such as `"network_arguments.fusion=concat"`.

    Values are YAML: `crop=[256, 256]`, `class_weights=null`.

    Raises:
        ValueError: If a text has no `=`, or its value is no YAML.
    """
    yaml, settings = _yaml(), {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise ValueError(f"--set takes NAME=VALUE. Received: {text!r}")
        try:
            settings[name.strip()] = _numbers(yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise ValueError(f"--set {text}: the value is no YAML: {error}") from error
    return settings


def _plain(value):
    """Returns a value with lists for tuples, which plain YAML has not."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _numbers(value):
    """Returns a value of YAML with numbers such as 1e-3, which YAML takes for text."""
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _namespace(values, origin):
    try:
        return _parser().parse_object(values)
    except Exception as error:  # jsonargparse raises argparse's errors, and others.
        raise ValueError(f"{origin} is no configuration of a run: {error}") from error


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
    return ImportError(f"This command reads YAML by {error.name}: pip install 'keras-segattn[cli]'")
