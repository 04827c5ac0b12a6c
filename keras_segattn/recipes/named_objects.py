"""A user's own losses, optimizers, schedules and augmentations, by name or as objects."""

import importlib
import inspect
import sys

import keras

CUSTOM = "Custom>"


def is_serialized(value):
    """Returns whether a value is the configuration of a Keras object, as a dict."""
    return isinstance(value, dict) and {"class_name", "config"} <= value.keys()


def as_plain(field, value):
    """Replaces a Keras object with its configuration, so that a recipe stays plain data.

    Args:
        field: Name of the field, for messages.
        value: Any value; a class or function is replaced with the name that `find` accepts.

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
        f"`{field}` is {value!r}, which cannot be written to a file. Pass its import path, "
        "'my_module.name', or register its class with "
        "`keras.saving.register_keras_serializable` and give it a `get_config`."
    )


def find(field, name, choices=()):
    """Returns a registered object, or one from a module, by name.

    Args:
        field: Name of the field, for messages.
        name: `"package>Name"`, or `"Name"` in the package `"Custom"`, as registered in Keras; or
            `"my_module.Name"`. The module may be in the working directory.
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
        f"import path, 'my_module.Name'. Received: {name!r}. {reason}."
    )


def takes(field, value, argument):
    """Returns whether a class given by its name has an argument; `False` for an object."""
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
        ValueError: If the object cannot be created; the message says why.
    """
    if is_serialized(value):
        if arguments:
            raise ValueError(
                f"`{field}` is an object that already has its arguments. Remove "
                f"`{field}_arguments`. Received: {arguments}"
            )
        return keras.saving.deserialize_keras_object(value)
    found = find(field, value)
    if not inspect.isclass(found):
        if arguments:
            raise ValueError(
                f"`{field}={value!r}` is not a class and takes no arguments. Remove "
                f"`{field}_arguments`. Received: {arguments}"
            )
        return found
    fitting = {n: v for n, v in offered.items() if takes(field, value, n)}
    try:
        return found(**{**fitting, **(arguments or {})})
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{field}={value!r}` cannot be created: {error}") from error


def _import(module):
    if "" in sys.path:
        return importlib.import_module(module)
    # An installed command does not search the working directory.
    sys.path.insert(0, "")
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove("")
