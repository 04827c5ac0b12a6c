"""Keras's Distiller with networks of this package, as on the page about it."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import AttaNet
from keras_segattn.losses import WeightedCrossEntropy
from tests.training import RUN_EAGERLY


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def test_a_network_learns_from_a_trained_one(rng):
    def of_raw_images(model):
        images = keras.Input((None, None, 3))
        return keras.Model(images, model(model.preprocessing(images)))

    teacher = AttaNet(weights="road_scenes")
    student = AttaNet(backbone="light", filters=16, classes=11)
    distiller = keras.distillation.Distiller(
        teacher=of_raw_images(teacher),
        student=of_raw_images(student),
        distillation_losses=keras.distillation.LogitsDistillation(
            temperature=1.0, loss=keras.losses.KLDivergence()
        ),
        student_loss_weight=0.0,
    )
    distiller.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=WeightedCrossEntropy(),
        run_eagerly=RUN_EAGERLY,
    )
    images = rng.uniform(0, 255, (2, 32, 48, 3)).astype("float32")
    masks = np.full((2, 32, 48), 255, "uint8")  # only the teacher counts

    before = distiller.evaluate(images, masks, verbose=0, return_dict=True)
    wanted, got = (
        log_softmax(keras.ops.convert_to_numpy(model(model.preprocessing(images))))
        for model in (teacher, student)
    )
    divergence = (np.exp(wanted) * (wanted - got)).sum(-1).mean()
    assert before["distillation_loss"] == pytest.approx(divergence, rel=1e-3)
    frozen = [keras.ops.convert_to_numpy(weight) for weight in teacher.weights]
    losses = distiller.fit(images, masks, epochs=8, verbose=0).history["distillation_loss"]
    assert losses[-1] < 0.8 * losses[0]
    for weight, value in zip(teacher.weights, frozen, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value)
