"""The schedule and the optimizer of the recipes."""

import bisect

import keras
import numpy as np
import pytest

from keras_segattn.optimizers import (
    LayerwiseAdam,
    LayerwiseAdamW,
    LayerwiseSGD,
    PolyDecay,
    WarmupStepDecay,
    expand_rate_factors,
)


def rates(schedule, steps):
    return np.array([float(schedule(step)) for step in steps])


def test_poly_by_step_is_that_of_keras():
    theirs = keras.optimizers.schedules.PolynomialDecay(0.01, 50, 1e-4, power=0.9)
    steps = range(0, 60, 7)
    ours = PolyDecay(0.01, 50, end_learning_rate=1e-4)
    np.testing.assert_allclose(rates(ours, steps), rates(theirs, steps), rtol=1e-5)


def test_poly_by_epoch():
    schedule = PolyDecay(0.1, decay_steps=40, steps_per_epoch=10)
    want = [0.1 * (1 - epoch / 4) ** 0.9 for epoch in (0, 0, 1, 3, 3)]
    np.testing.assert_allclose(rates(schedule, [0, 9, 10, 30, 39]), want, rtol=1e-5)
    assert float(schedule(40)) == 0


def test_warm_up_is_that_of_the_reference():
    schedule = PolyDecay(1e-2, decay_steps=300, warmup_steps=100, warmup_learning_rate=1e-5)
    want = [1e-5, 1e-5 * 1000**0.5, 1e-2, 1e-2 * 0.5**0.9, 0]
    np.testing.assert_allclose(rates(schedule, [0, 50, 100, 200, 300]), want, rtol=1e-4)


def test_schedule_is_saved_with_an_optimizer():
    optimizer = keras.optimizers.SGD(PolyDecay(0.1, decay_steps=40, warmup_steps=3))
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert copy._learning_rate.get_config() == optimizer._learning_rate.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"initial_learning_rate": 0, "decay_steps": 5},
            "`initial_learning_rate` must be positive. Received: 0",
        ),
        (
            {"initial_learning_rate": 0.1, "decay_steps": 5, "end_learning_rate": 0.2},
            "from 0 to the initial rate 0.1",
        ),
        (
            {"initial_learning_rate": 0.1, "decay_steps": 5, "warmup_steps": 5},
            "decay_steps=5, warmup_steps=5",
        ),
    ],
)
def test_schedule_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        PolyDecay(**arguments)


def small_model():
    keras.utils.set_random_seed(0)
    inner_input = keras.Input((3,))
    inner = keras.Model(inner_input, keras.layers.Dense(2, name="body")(inner_input), name="inner")
    outer_input = keras.Input((3,))
    return keras.Model(outer_input, keras.layers.Dense(1, name="head")(inner(outer_input)))


def changes_in_training(optimizer, x, y):
    model = small_model()
    model.compile(optimizer, "mse")
    before = model.get_weights()
    model.train_on_batch(x, y)
    changes = [a - b for a, b in zip(model.get_weights(), before, strict=True)]
    return model, changes


@pytest.mark.parametrize(
    ("layerwise", "plain", "arguments"),
    [
        (LayerwiseSGD, keras.optimizers.SGD, {}),
        (LayerwiseSGD, keras.optimizers.SGD, {"momentum": 0.9}),
        (LayerwiseAdam, keras.optimizers.Adam, {}),
        (LayerwiseAdamW, keras.optimizers.AdamW, {"weight_decay": 0.0}),
    ],
)
def test_layers_learn_at_their_own_rate(layerwise, plain, arguments, rng, tmp_path):
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 1))
    _, want = changes_in_training(plain(0.01, **arguments), x, y)
    optimizer = layerwise(0.01, rate_factors={"body": 10.0}, **arguments)
    model, ours = changes_in_training(optimizer, x, y)
    for one, other, factor in zip(ours, want, (10, 10, 1, 1), strict=True):
        np.testing.assert_allclose(one, factor * other, rtol=1e-4, atol=1e-7)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.rate_factors == {"body": 10.0}
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.01)


@pytest.mark.parametrize("layerwise", [LayerwiseSGD, LayerwiseAdam])
def test_decay_is_that_of_a_penalty(layerwise, rng, tmp_path):
    """The gradient of an L2 penalty, which Keras's regularizers add to the loss."""
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 1))
    model, ours = changes_in_training(layerwise(0.01, l2=0.1), x, y)
    penalized = small_model()
    for weight in penalized.trainable_weights:
        weight.regularizer = keras.regularizers.L2(0.05)
    before = penalized.get_weights()
    penalized.compile(layerwise(0.01), "mse")
    penalized.train_on_batch(x, y)
    want = [a - b for a, b in zip(penalized.get_weights(), before, strict=True)]
    for one, other in zip(ours, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").optimizer.l2 == 0.1
    with pytest.raises(ValueError, match=r"`l2` must be at least 0. Received: -1"):
        layerwise(l2=-1)


def test_a_nested_model_stands_for_its_layers():
    model = small_model()
    assert expand_rate_factors(model, {"inner": 0.1, "head": 2.0}) == {"body": 0.1, "head": 2.0}
    with pytest.raises(ValueError, match="No such layer: other"):
        expand_rate_factors(model, {"other": 0.1})


@pytest.mark.parametrize("factors", [{"inner": 0.1, "body": 2.0}, {"body": 2.0, "inner": 0.1}])
@pytest.mark.parametrize("named", [("inner", "body"), ("inner",), ("body",)])
def test_layers_of_one_name_have_one_factor(factors, named):
    inner, image = small_model().get_layer("inner"), keras.Input((3,))
    model = keras.Model(image, keras.layers.Dense(1, name="body")(inner(image)))
    factors = {name: factors[name] for name in factors if name in named}
    with pytest.raises(
        ValueError, match=r"weight body/kernel would get the factor .* unique names"
    ):
        expand_rate_factors(model, factors)


def test_rate_factors_are_checked(rng):
    with pytest.raises(ValueError, match=r"must not be negative\. Received: {'body': -1}"):
        LayerwiseAdam(rate_factors={"body": -1})
    optimizer = LayerwiseSGD(rate_factors={"inner": 0.1})
    with pytest.raises(ValueError, match=r"\['inner'\], which have no trainable weights here"):
        optimizer.build(small_model().trainable_variables)


def test_warm_up_and_steps_are_maskrcnn_benchmarks():
    arguments = {"warmup_steps": 8, "warmup_factor": 0.25, "decay_factor": 0.5}
    schedule = WarmupStepDecay(0.1, (10, 20), **arguments)
    # WarmupMultiStepLR: linear up to the last step of the warm-up, and bisect_right of the steps.
    steps = (0, 4, 7, 8, 9, 10, 19, 20, 99)
    want = [
        0.1 * 0.5 ** bisect.bisect_right((10, 20), step) * (0.25 * (1 - a) + a)
        for step, a in ((step, min(step / 8, 1)) for step in steps)
    ]
    np.testing.assert_allclose(rates(schedule, steps), want, rtol=1e-5)
    copy = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert copy.get_config() == schedule.get_config()
    for boundaries in ((20, 10), (10, 10), (0, 5)):
        with pytest.raises(ValueError, match=r"increasing steps of at least 1\. Received"):
            WarmupStepDecay(0.1, boundaries)
    with pytest.raises(ValueError, match=r"`warmup_factor` must be positive\. Received: 0"):
        WarmupStepDecay(0.1, (), warmup_factor=0)
