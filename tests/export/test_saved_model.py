"""SavedModel: run without this package."""

import subprocess
import sys

import numpy as np
import pytest

from keras_segattn.export import export_model
from tests.export.cases import expected

SCRIPT = """
import json, sys
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
images = np.load(sys.argv[2])
maps, serve = {}, loaded.signatures
for name in images:
    batch = images[name][None]
    maps[name] = serve["serving_default"](images=tf.constant(batch))["class_map"].numpy()
    for encode in (tf.io.encode_png, tf.io.encode_jpeg):
        file = encode(batch[0]).numpy()
        if encode is tf.io.encode_jpeg:
            batch = tf.io.decode_image(file).numpy()[None]
        got = serve["serve_encoded"](image_bytes=tf.constant([file, file]))["class_map"].numpy()
        direct = serve["serving_default"](images=tf.constant(batch))["class_map"].numpy()
        assert got.shape == (2, *batch.shape[1:3]) and np.mean(got == direct) > 0.999
ours = [name for name in sys.modules if name.startswith("keras_segattn")]
assert not ours, ours
np.savez(sys.argv[2], **maps)
"""


@pytest.mark.tensorflow
def test_saved_model_runs_in_a_process_without_this_package(model, images, tmp_path):
    path, arrays = tmp_path / "saved", tmp_path / "arrays.npz"
    report = export_model(model, path, "saved_model", images=images)
    assert report.agreement >= 0.999
    assert report.largest_logit_difference < 1e-2
    np.savez(arrays, *images)
    command = [sys.executable, "-c", SCRIPT, str(path), str(arrays)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with np.load(arrays) as maps:
        for image, key in zip(images, maps, strict=True):
            assert np.mean(maps[key] == expected(model, image)) >= 0.999


@pytest.mark.tensorflow
def test_weights_are_saved_once(model, images, tmp_path):
    import tensorflow as tf

    export_model(model, tmp_path / "saved", images=images[:1])
    saved = tf.train.list_variables(str(tmp_path / "saved" / "variables" / "variables"))
    counts = [np.prod(shape) for name, shape in saved if name.endswith("VARIABLE_VALUE")]
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    for name in ("variables", "trainable_variables", "non_trainable_variables"):
        assert len(getattr(loaded, name)) >= len(getattr(model, name)) > 0
    assert sum(counts) == sum(np.prod(v.shape) for v in loaded.variables)
