"""Packages whose names are imported when they are first used."""

import importlib
import sys


def lazy_imports(package, modules):
    """Returns the `__getattr__` of a package that imports names when they are first used.

    Running an exported network uses a part of this library that needs no Keras. Importing that
    part must not import its neighbors, which do.

    Args:
        package: Name of the package, its `__name__`.
        modules: Dict from names to the modules of the package that define them. A module may be
            `None` for a name that is a module itself.

    Example:

    ```python
    __getattr__ = lazy_imports(__name__, {"segment": "prediction"})
    ```
    """

    def import_name(name):
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = importlib.import_module(f"{package}.{modules[name] or name}")
        if modules[name] is not None:
            value = getattr(value, name)
        setattr(sys.modules[package], name, value)
        return value

    return import_name
