"""What a network knows of its images and classes."""

import keras
import numpy as np
import pytest

from keras_segattn.weights import Preprocessing
from tests.applications.cases import CASES

BGR = Preprocessing([0.4, 0.5, 0.6], [0.1, 0.2, 0.3], channel_order="BGR")

NAMES = ("a", "b", "c", "d", "e")
PALETTE = tuple((40 * i, 0, 255) for i in range(5))


def test_preprocessing_is_that_of_the_equation(rng):
    images = rng.integers(0, 256, (2, 4, 5, 3), dtype="uint8")
    want = (images[..., ::-1] / 255 - [0.4, 0.5, 0.6]) / [0.1, 0.2, 0.3]
    np.testing.assert_allclose(np.array(BGR(images)), want, atol=1e-5)
    symbolic = keras.Input((None, None, 3), dtype="uint8")
    model = keras.Model(symbolic, BGR(symbolic))
    np.testing.assert_allclose(model.predict(images, verbose=0), want, atol=1e-5)


def test_preprocessing_runs_inside_tf_data(rng):
    tf = pytest.importorskip("tensorflow")
    image = rng.integers(0, 256, (4, 5, 3), dtype="uint8")
    (got,) = tf.data.Dataset.from_tensors(image).map(BGR).as_numpy_iterator()
    np.testing.assert_allclose(got, np.array(BGR(image)), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": [0.5], "std": [1.0, 1.0]}, "one number per channel"),
        ({"mean": [0.5], "std": [0.0]}, "must be positive"),
        ({"mean": [0.5] * 3, "std": [1] * 3, "channel_order": "GBR"}, "'GBR'"),
        ({"mean": [0.5], "std": [1], "channel_order": "BGR"}, "three channels"),
    ],
)
def test_preprocessing_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**arguments)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_loaded_model_knows_its_images_and_classes(case, deep, tmp_path):
    if deep and case == "canet":
        pytest.skip("CANet has no auxiliary heads")
    model = CASES[case](**({"auxiliary_heads": True} if deep else {}))
    model.preprocessing = BGR
    model.class_names = NAMES
    model.palette = PALETTE
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert loaded.preprocessing == BGR
    assert loaded.class_names == NAMES
    assert loaded.palette == PALETTE


def test_class_names_are_one_per_class():
    model = CASES["canet"]()
    with pytest.raises(ValueError, match=r"each of the 5 classes. Received 2: \['a', 'b'\]"):
        model.class_names = ["a", "b"]
