"""Folders of checkpoints after epochs, interruptions and a second training."""

import json
import math

import keras
import numpy as np
import pytest

from keras_segattn.callbacks import AtomicCheckpoint

IMAGES = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
TARGETS = IMAGES.sum(axis=1, keepdims=True)


def tiny_model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])


def end_epochs(folder, scores, monitor="score", first=0, **options):
    """Ends an epoch with each score; the weights of a model are the number of its epoch."""
    model = tiny_model()
    callback = AtomicCheckpoint(folder, monitor=monitor, **options)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, score in enumerate(scores, first):
        callback.on_epoch_begin(epoch)
        model.set_weights([np.full((2, 1), epoch + 1)])
        callback.on_epoch_end(epoch, {"loss": 1.0} if score is None else {monitor: score})


def best_epoch(folder):
    best = keras.saving.load_model(folder / "best.keras")
    epoch = int(best.get_weights()[0][0, 0])
    assert AtomicCheckpoint.read_best(folder)["epoch"] == epoch
    return epoch


def test_the_last_and_the_best_are_kept(tmp_path):
    end_epochs(tmp_path, (0.2, 0.7, 0.5))
    names = ["best.json", "best.keras", "epoch-0003.keras"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert best_epoch(tmp_path) == 2
    record = {"monitor": "score", "mode": "max", "value": 0.7, "epoch": 2}
    assert json.loads((tmp_path / "best.json").read_text()) == record
    path, done = AtomicCheckpoint.latest(tmp_path)
    assert (path.name, done) == ("epoch-0003.keras", 3)


def test_a_loss_that_is_not_finite_ends_training(tmp_path):
    end_epochs(tmp_path, (0.2,), monitor="loss")
    with pytest.raises(RuntimeError, match="loss is nan after epoch 2"):
        end_epochs(tmp_path, (math.nan,), first=1, monitor="loss")
    assert AtomicCheckpoint.latest(tmp_path)[1] == 1


@pytest.mark.parametrize(
    ("options", "scores", "best"),
    [
        ({"monitor": "val_loss"}, (0.5, 0.2, 0.7), 2),
        ({"monitor": "rate", "mode": "min"}, (0.5, 0.2, 0.7), 2),
        ({"monitor": "val_loss", "mode": "max"}, (0.5, 0.2, 0.7), 3),
        ({}, (math.nan, 0.3, 0.1), 2),
        ({}, (math.nan, math.nan), 2),
        ({}, (0.3, math.nan, 0.1), 1),
        ({"monitor": "val_loss"}, (math.nan, 0.3, math.nan, 0.1), 4),
    ],
    ids=str,
)
def test_the_best_epoch(options, scores, best, tmp_path):
    end_epochs(tmp_path, scores, **options)
    assert best_epoch(tmp_path) == best


@pytest.mark.parametrize("scores", [(0.2, 0.9, 0.5), (math.nan, 0.9, 0.5)], ids=str)
def test_the_best_value_survives_an_interruption(scores, tmp_path):
    end_epochs(tmp_path, scores[:2])
    end_epochs(tmp_path, scores[2:], first=2)
    assert best_epoch(tmp_path) == 2


def test_a_second_training_replaces_nothing_unasked(tmp_path):
    end_epochs(tmp_path, (0.2, 0.9, 0.5))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"epoch-0003.keras .*starts with epoch 1.*epoch=3"):
        end_epochs(tmp_path, (1.0,))
    with pytest.raises(ValueError, match=r"by 'score'.*monitor='other'"):
        end_epochs(tmp_path, (1.0,), first=3, monitor="other")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "epoch-0003.keras").unlink()
    with pytest.raises(ValueError, match=r"best.keras of epoch 2.*starts with epoch 1"):
        end_epochs(tmp_path, (1.0,))
    # As a process leaves it that was killed between the best epoch and its checkpoint.
    end_epochs(tmp_path, (0.5,), first=1)
    assert AtomicCheckpoint.latest(tmp_path)[1] == 2


@pytest.mark.parametrize("text", ["", "{}", '{"value": "high"}', "[1]"])
def test_a_damaged_record_of_the_best_epoch_is_named(text, tmp_path):
    end_epochs(tmp_path, (0.2,))
    (tmp_path / "best.json").write_text(text)
    with pytest.raises(ValueError, match=r"best\.json is damaged"):
        end_epochs(tmp_path, (0.1,), first=1)


@pytest.mark.parametrize(
    ("missing", "there"), [("best.json", "best.keras"), ("best.keras", "best.json")]
)
def test_a_best_model_and_its_record_belong_together(missing, there, tmp_path):
    end_epochs(tmp_path, (0.9,))
    (tmp_path / missing).unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=rf"{there} exists, but {missing} is missing.* {there} a"):
        end_epochs(tmp_path, (0.1,), first=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / there).unlink()
    end_epochs(tmp_path, (0.1,), first=1)
    assert best_epoch(tmp_path) == 2


def test_files_of_other_names_are_none_of_ours(tmp_path):
    for name in ("epoch-last.keras", "epoch-12.keras", "epoch-0002.keras.old", "epoch-.keras"):
        (tmp_path / name).touch()
    assert AtomicCheckpoint.latest(tmp_path) == (None, 0)
    for name in ("epoch-9999.keras", "epoch-10000.keras"):
        (tmp_path / name).touch()
    assert AtomicCheckpoint.latest(tmp_path)[1] == 10000


def fit(model, folder, *callbacks, monitor="val_loss", averaged=False, **options):
    checkpoint = AtomicCheckpoint(folder, monitor=monitor, averaged=averaged)
    arguments = {"epochs": 3, "batch_size": 4, "verbose": 0, **options}
    return model.fit(IMAGES, TARGETS, callbacks=[*callbacks, checkpoint], **arguments).history


def test_epochs_without_validation_are_saved(tmp_path):
    model = tiny_model()
    model.compile("sgd", "mse")
    data = {"validation_data": (IMAGES, TARGETS)}
    with pytest.warns(UserWarning, match="Epoch 1 has no validation"):
        fit(model, tmp_path / "2", validation_freq=2, **data)
    assert AtomicCheckpoint.latest(tmp_path / "2")[1] == 3
    assert AtomicCheckpoint.read_best(tmp_path / "2")["epoch"] == 2
    with pytest.raises(ValueError, match=r"logs do not contain 'val_accuracy'.*'val_loss'"):
        fit(model, tmp_path / "typo", monitor="val_accuracy", **data)
    with pytest.raises(ValueError, match=r"logs do not contain 'accuracy'.*'loss'"):
        fit(model, tmp_path / "typo", monitor="accuracy")


def test_the_file_of_the_best_epoch_scores_what_the_log_says(tmp_path):
    def train(folder, epochs, first=0):
        if first:
            model = keras.saving.load_model(AtomicCheckpoint.latest(folder)[0])
        else:
            keras.utils.set_random_seed(0)
            model = tiny_model()
            model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
        return fit(
            model,
            folder,
            keras.callbacks.SwapEMAWeights(),
            averaged=True,
            validation_data=(IMAGES, TARGETS),
            initial_epoch=first,
            epochs=epochs,
            shuffle=False,
        )["val_loss"]

    whole = train(tmp_path / "whole", 3)
    best = keras.saving.load_model(tmp_path / "whole" / "best.keras")
    loss = best.evaluate(IMAGES, TARGETS, batch_size=4, verbose=0)
    assert loss == pytest.approx(min(whole), rel=1e-5)
    # The checkpoints hold the weights as they were trained.
    parts = [*train(tmp_path / "parts", 1), *train(tmp_path / "parts", 3, first=1)]
    assert parts == pytest.approx(whole, rel=1e-5)
