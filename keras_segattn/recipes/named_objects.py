"""Losses, optimizers, schedules and augmentations of others in recipes, by name or as objects."""

import importlib
import inspect
import sys

import keras

CUSTOM = "Custom>"


def is_serialized(value):
    """Returns whether a value is the configuration of a Keras object, as a dict."""
    return isinstance(value, dict) and {"class_name", "config"} <= value.keys()


def as_plain(field, value):
    """Replaces a Keras object by its configuration, so that a recipe stays plain data.

    Args:
        field: Name of the field, for messages.
        value: Any value; a class or a function becomes the name by which it is found again.

    Raises:
        ValueError: If the object cannot be written to a file.
    """
    if value is None or isinstance(value, (str, dict)):
        return value
    if inspect.isclass(value) or inspect.isroutine(value):
        name = keras.saving.get_registered_name(value)
        found = name if name != value.__name__ else f"{value.__module__}.{value.__qualname__}"
        find(field, found)
        return found
    try:
        plain = keras.saving.serialize_keras_object(value)
        if is_serialized(plain):
            keras.saving.deserialize_keras_object(plain)
            return plain
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        pass
    raise ValueError(
        f"`{field}` is {value!r}, which cannot be written to a file. Pass the name of a variable "
        "that holds it, 'my_module.name', or register its class by "
        "`keras.saving.register_keras_serializable` and give it a `get_config`."
    )


def find(field, name, choices=()):
    """Returns a registered object, or one from a module, by name.

    Args:
        field: Name of the field, for messages.
        name: `"package>Name"`, or `"Name"` in the package `"Custom"`, as registered in Keras; or
            `"my_module.Name"`. A module is looked for in the working directory, too.
        choices: Built-in names, for messages. Defaults to none.

    Raises:
        ValueError: If there is no such object.
    """
    module, dot, attribute = name.rpartition(".")
    reason = "It is not registered in Keras"
    if dot:
        try:
            return getattr(_import(module), attribute)
        except (ImportError, AttributeError) as error:
            reason = str(error)
    else:
        for registered in (name, CUSTOM + name):
            found = keras.saving.get_registered_object(registered)
            if found is not None:
                return found
    known = f"one of {tuple(choices)}, " if choices else ""
    raise ValueError(
        f"`{field}` must be {known}the registered name of a Keras object, 'package>Name', or its "
        f"place in a module, 'my_module.Name'. Received: {name!r}. {reason}."
    )


def takes(field, value, argument):
    """Returns whether a class by name has an argument; an object has its own."""
    if is_serialized(value):
        return False
    found = find(field, value)
    return inspect.isclass(found) and argument in inspect.signature(found).parameters


def build(field, value, arguments=None, **offered):
    """Returns the object that a name or a configuration describes.

    Args:
        field: Name of the field, for messages.
        value: A name for `find`, or the configuration of a Keras object.
        arguments: Dict of arguments for a class. Defaults to none.
        **offered: Arguments for a class that are passed if its signature has them.

    Raises:
        ValueError: If the object cannot be made; the message says why.
    """
    if is_serialized(value):
        if arguments:
            raise ValueError(
                f"`{field}` is an object with arguments of its own. Received others: {arguments}"
            )
        return keras.saving.deserialize_keras_object(value)
    found = find(field, value)
    if not inspect.isclass(found):
        if arguments:
            raise ValueError(f"`{field}={value!r}` is no class and takes no arguments: {arguments}")
        return found
    fitting = {n: v for n, v in offered.items() if takes(field, value, n)}
    try:
        return found(**{**fitting, **(arguments or {})})
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{field}={value!r}` cannot be made: {error}") from error


def _import(module):
    if "" in sys.path:
        return importlib.import_module(module)
    # An installed command does not look in the working directory.
    sys.path.insert(0, "")
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove("")
