"""Packages whose names are imported on first use."""

import importlib
import sys


def lazy_imports(package, modules):
    """Returns a `__getattr__` for a package, which imports names on first use.

    Running an exported network needs only the part of this library that works without Keras.
    Importing that part must not import the parts that need Keras.

    Args:
        package: Name of the package, its `__name__`.
        modules: Dict from names to the modules of the package that define them; `None` for a name
            that is itself a module.

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
