"""Helpers of the tests of training, on every backend."""

import keras
import numpy as np

# For steps that are about something else: tracing one takes TensorFlow ten times its run.
RUN_EAGERLY = keras.backend.backend() == "tensorflow"


def to_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def call(layer, inputs, **arguments):
    """Returns the outputs in the quickest way: only JAX would compile every operation of a call."""
    if keras.backend.backend() == "jax":
        if isinstance(layer, keras.Model) and not arguments:
            return layer.predict(inputs, verbose=0)
        outputs = _as_one_program(layer, inputs, **arguments)
    else:
        outputs = layer(inputs, **arguments)
    return keras.tree.map_structure(to_numpy, outputs)


def build(layer, inputs):
    """Gives a layer its weights, as its first call would."""
    layer(keras.tree.map_structure(lambda x: keras.KerasTensor(x.shape, x.dtype), inputs))


def _as_one_program(layer, inputs, **arguments):
    import jax

    if not layer.built:
        build(layer, inputs)

    @jax.jit
    def run(values, inputs):
        # A stateless call would not cast the inputs.
        with keras.StatelessScope(zip(layer.variables, values, strict=True)):
            return layer(inputs, **arguments)

    return run([variable.value for variable in layer.variables], inputs)


def predict_unknown_sizes(model, inputs):
    """Calls a model whose batch, height and width its graph does not know.

    `predict` of arrays will not do: TensorFlow traces it with the sizes of the arrays. The other
    backends know all sizes always.
    """
    if keras.backend.backend() != "tensorflow":
        return call(model, inputs)
    return _of_unknown_sizes(model, inputs)(inputs)


def predict_any_size(model):
    """Returns `predict` of a model of images, which TensorFlow traces once for all sizes."""
    if keras.backend.backend() != "tensorflow":
        return lambda images: model.predict(images, verbose=0)
    channels = model.input_shape[-1]
    return _of_unknown_sizes(model, np.zeros((1, 1, 1, channels), "float32"))


def _of_unknown_sizes(model, inputs):
    import tensorflow as tf

    signature = keras.tree.map_structure(
        lambda x: tf.TensorSpec((None, None, None, x.shape[-1]), x.dtype), inputs
    )
    function = tf.function(lambda values: model(values), input_signature=[signature])
    return lambda values: to_numpy(function(keras.tree.map_structure(tf.constant, values)))


def trained_step(model, inputs, targets, loss="mse", **compile_arguments):
    """Trains one step with plain gradient descent; returns the change of every trainable weight.

    With a rate of 1 the change is minus the gradient.
    """
    before = [to_numpy(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.SGD(1.0), loss=loss, **compile_arguments)
    logs = model.train_on_batch(inputs, targets, return_dict=True)
    assert np.isfinite(logs["loss"])
    after = [to_numpy(weight) for weight in model.trainable_weights]
    return {
        weight.path: new - old
        for weight, old, new in zip(model.trainable_weights, before, after, strict=True)
    }


def randomize(model, rng):
    """Gives every weight a value that no initializer gives: zeros and ones hide mistakes."""
    for weight in model.weights:
        if "seed" in weight.path:
            continue
        value = rng.normal(0, 0.3, weight.shape)
        if weight.path.endswith(("gamma", "moving_variance")):
            value = 1 + np.abs(value)
        weight.assign(value.astype("float32"))
