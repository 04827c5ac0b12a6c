import sys

import keras
import numpy as np
import pytest

from keras_segattn.applications import CANet
from keras_segattn.data import RoadScenes
from keras_segattn.losses import WeightedCrossEntropy
from keras_segattn.visualization import PredictionPictures, prediction_pictures
from keras_segattn.weights import Preprocessing
from tests.applications.cases import tiny_backbone
from tests.data.bands import Bands


def fit(callback, epochs):
    scenes = RoadScenes("val", 3, (32, 48))
    model = CANet(backbone=tiny_backbone(), classes=11, filters=8, up_channels=8)
    model.compile("sgd", WeightedCrossEntropy())
    images, masks = (
        np.stack(parts) for parts in zip(*(scenes.read(i) for i in range(2)), strict=True)
    )
    images = keras.ops.convert_to_numpy(model.preprocessing(images))
    model.fit(images, masks, epochs=epochs, batch_size=2, callbacks=[callback], verbose=0)
    return model


def test_pictures_show_the_predictions_of_the_epoch(tmp_path, monkeypatch):
    drawn = []
    plot = prediction_pictures.plot_predictions

    def spy(path, images, masks, predictions, *others, **options):
        drawn.append((images, masks, predictions))
        plot(path, images, masks, predictions, *others, **options)

    monkeypatch.setattr(prediction_pictures, "plot_predictions", spy)
    scenes = RoadScenes("val", 3, (32, 48))
    model = fit(PredictionPictures(tmp_path / "p", scenes, count=2, freq=2), epochs=4)
    names = sorted(path.name for path in (tmp_path / "p").iterdir())
    assert names == ["epoch-0002.png", "epoch-0004.png"]
    assert all((tmp_path / "p" / name).stat().st_size > 5_000 for name in names)
    images, masks, predictions = drawn[-1]
    for image, mask, prediction, index in zip(images, masks, predictions, (0, 2), strict=True):
        np.testing.assert_array_equal(image, scenes.read(index)[0])
        np.testing.assert_array_equal(mask, scenes.read(index)[1])
        logits = model.predict(model.preprocessing(image[None]), verbose=0)
        np.testing.assert_array_equal(prediction, logits[0].argmax(-1))


@pytest.mark.parametrize("channels", [1, 4])
def test_pictures_of_any_number_of_bands(channels, tmp_path):
    image = keras.Input((None, None, channels))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    model.preprocessing = Preprocessing([0.5] * channels, [0.5] * channels)
    callback = PredictionPictures(tmp_path, Bands(channels))
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_end(0)
    assert (tmp_path / "epoch-0001.png").stat().st_size > 5_000


@pytest.mark.tensorflow
def test_pictures_in_tensorboard(tmp_path):
    import tensorflow as tf

    scenes = RoadScenes("val", 2, (32, 48))
    fit(PredictionPictures(tmp_path / "p", scenes, count=2, log_dir=tmp_path / "logs"), 2)
    (path,) = (tmp_path / "logs").iterdir()
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found[value.tag, event.step] = tf.io.decode_png(value.image.encoded_image_string).shape
            assert (value.image.width, value.image.height) == (48, 32)
    assert set(found) == {(f"prediction_{i}", step) for i in range(2) for step in (1, 2)}
    assert set(map(tuple, found.values())) == {(32, 48, 3)}


@pytest.mark.once
def test_refuses_what_does_not_fit(tmp_path, monkeypatch):
    scenes = RoadScenes("val", 2, (32, 48))
    for arguments in ({"count": 0}, {"freq": 0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            PredictionPictures(tmp_path, scenes, **arguments)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match=r"keras-segattn\[tensorflow\]"):
        PredictionPictures(tmp_path, scenes, log_dir=tmp_path)
