"""Importing this package without Keras, and registering its layers as soon as Keras is there."""

import os
import subprocess
import sys

import keras
import pytest

from keras_segattn.applications import CANet
from tests.applications.cases import tiny_backbone

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("registration") / "model.keras"
    CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8).save(path)
    return path


def run(script, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    result = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "numpy"}
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


IMPORTS = [
    "import keras, keras_segattn",
    "import keras_segattn, keras",
    "import keras_segattn.export, keras",
    # Keras is imported from within this package first.
    "from keras_segattn.layers import ResizeLike\nimport keras",
    "import keras_segattn\nkeras_segattn.losses\nimport keras",
    "from keras_segattn.export import export_model\nimport keras",
    "import keras_segattn.layers.resize_like\nfrom keras import saving\nimport keras",
]


@pytest.mark.parametrize("imports", IMPORTS)
def test_files_load_whatever_is_imported_first(imports, saved):
    script = f"""
import sys
{imports}
model = keras.saving.load_model(sys.argv[1])
assert type(model).__name__ == "SegmentationModel", type(model)
assert not [f for f in sys.meta_path if type(f).__name__ == "_AfterKeras"]
registered = keras.saving.get_custom_objects()
print(*sorted(name for name in registered if name.startswith("keras_segattn>")))
"""
    names = run(script, saved).split()
    here = {name for name in keras.saving.get_custom_objects() if name.startswith("keras_segattn>")}
    # Only models on their way into an artifact have these layers.
    only_exported = {
        f"keras_segattn>{name}" for name in ("ResizeTo", "ImagePadding", "LikelyClassMap")
    }
    assert set(names) - only_exported == here - only_exported


def test_keras_that_cannot_be_imported_says_so():
    script = """
import sys
sys.modules["keras"] = None
import keras_segattn.export
try:
    keras_segattn.layers
except ImportError as error:
    print(error)
"""
    assert "import of keras halted" in run(script)


@pytest.mark.parametrize(
    "statement", ["keras_segattn.nothing", "from keras_segattn.export import nothing"]
)
def test_unknown_names(statement):
    script = f"""
import keras_segattn.export
try:
    {statement}
except (AttributeError, ImportError) as error:
    print(error)
"""
    assert "nothing" in run(script)


def test_main_names_are_in_the_package_and_import_nothing_before_their_use():
    script = """
import sys, keras_segattn
assert set(keras_segattn.MAIN_NAMES) < set(keras_segattn.__all__)
assert "keras" not in sys.modules
from keras_segattn import ExportedSegmenter
assert "keras" not in sys.modules
from keras_segattn import *
for name, subpackage in keras_segattn.MAIN_NAMES.items():
    assert getattr(keras_segattn, name) is getattr(getattr(keras_segattn, subpackage), name), name
assert CANet is keras_segattn.applications.CANet
"""
    run(script)
