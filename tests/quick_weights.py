"""Random initial weights, drawn by NumPy instead of the backend.

JAX compiles a program for every shape of a random array: building one network took 18 s, and takes
0.7 s with NumPy's arrays. No test depends on how Keras draws.
"""

import functools
import types
from unittest import mock

import keras
import numpy as np
from keras.src.backend.common.stateless_scope import in_stateless_scope
from keras.src.initializers import random_initializers

KERAS = random_initializers.random


def normal(rng, shape, mean=0.0, stddev=1.0):
    return mean + stddev * rng.standard_normal(shape, "float32")


def truncated_normal(rng, shape, mean=0.0, stddev=1.0):
    values = rng.standard_normal(shape, "float32")
    outside = np.abs(values) > 2
    # One in twenty: the shape of their distribution does not matter here.
    values[outside] = rng.uniform(-2, 2, outside.sum())
    return mean + stddev * values


def uniform(rng, shape, minval=0.0, maxval=1.0):
    return minval + (maxval - minval) * rng.random(shape, "float32")


def draw(function, shape, dtype=None, seed=None, **parameters):
    if not isinstance(seed, int):
        # A generator, which has a state.
        return getattr(KERAS, function.__name__)(shape, dtype=dtype, seed=seed, **parameters)
    if in_stateless_scope():
        # Shapes are inferred: an array would be written into a graph, and no value is kept.
        return keras.ops.zeros(shape, dtype)
    values = function(np.random.default_rng(seed), shape, **parameters)
    return keras.ops.convert_to_tensor(values, dtype or keras.config.floatx())


def quick_weights():
    """Returns a context in which Keras's initializers draw with NumPy."""
    draws = {f.__name__: functools.partial(draw, f) for f in (normal, truncated_normal, uniform)}
    module = types.SimpleNamespace(**{**vars(KERAS), **draws})
    return mock.patch.object(random_initializers, "random", module)
