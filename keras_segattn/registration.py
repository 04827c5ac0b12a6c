"""Registers the layers with Keras, whether Keras or this package is imported first.

`keras.saving.load_model` finds layers only by their registered names, and a layer registers when
its module is imported. Importing this package must therefore import all layers. The exception is a
program that runs an exported network without Keras and saves hundreds of megabytes. So the layers
are imported immediately if Keras is imported, and otherwise as soon as it is.
"""

import importlib
import sys
from importlib.abc import MetaPathFinder

PACKAGE = __name__.partition(".")[0]


def import_with_keras(subpackages):
    """Imports subpackages now if Keras is imported, otherwise as soon as it is.

    Args:
        subpackages: Names of the subpackages and modules of this package.
    """
    if sys.modules.get("keras") is not None:
        _import(subpackages)
    else:
        sys.meta_path.insert(0, _AfterKeras(subpackages))


def _import(subpackages):
    for subpackage in subpackages:
        importlib.import_module(f"{PACKAGE}.{subpackage}")


class _AfterKeras(MetaPathFinder):
    """Imports the subpackages once Keras is imported and no module here is half imported.

    It watches the imports of Keras and of this package. Modules of this package also import Keras,
    and importing the subpackages in the middle of such a module would be circular.
    """

    def __init__(self, subpackages):
        self.subpackages, self.running = subpackages, 0

    def find_spec(self, name, path=None, target=None):
        if name != "keras" and not name.startswith(f"{PACKAGE}."):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = self._followed(spec.loader.exec_module)
        return spec

    def _followed(self, execute):
        def exec_module(module):
            self.running += 1
            try:
                execute(module)
            finally:
                self.running -= 1
            if not self.running and sys.modules.get("keras") and self in sys.meta_path:
                sys.meta_path.remove(self)
                _import(self.subpackages)

        return exec_module
