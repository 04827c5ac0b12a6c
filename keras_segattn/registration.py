"""Registering the layers with Keras, whichever of Keras and this package is imported first.

`keras.saving.load_model` finds the layers of a file by their registered names only, and a layer
registers when its module is imported. Importing this package must therefore import all of them,
except in a program that never imports Keras: one that runs an exported network saves hundreds of
megabytes. So they are imported at once if Keras is there, and otherwise as soon as it is.
"""

import importlib
import sys
from importlib.abc import MetaPathFinder

PACKAGE = __name__.partition(".")[0]


def import_with_keras(rooms):
    """Imports subpackages now if Keras is imported, and else as soon as it has been.

    Args:
        rooms: Names of the subpackages and modules of this package.
    """
    if sys.modules.get("keras") is not None:
        _import(rooms)
    else:
        sys.meta_path.insert(0, _AfterKeras(rooms))


def _import(rooms):
    for room in rooms:
        importlib.import_module(f"{PACKAGE}.{room}")


class _AfterKeras(MetaPathFinder):
    """Imports the rooms once Keras is imported and no module of this package is half imported.

    It follows the imports of Keras and of this package, whose modules import Keras too: within
    one of them an import of the rooms would be circular.
    """

    def __init__(self, rooms):
        self.rooms, self.running = rooms, 0

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
                _import(self.rooms)

        return exec_module
