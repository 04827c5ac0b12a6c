"""Random initial weights, drawn by NumPy instead of the backend.

JAX compiles a program for every shape of a random array: building one network took 18 s, and takes
0.7 s with NumPy's arrays. No test depends on how Keras draws.
"""

import types
from unittest import mock

import keras
import numpy as np
from keras.src.initializers import random_initializers

# Keras's own draws from a `SeedGenerator`, which has a state.
KERAS = random_initializers.random


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    if not isinstance(seed, int):
        return KERAS.normal(shape, mean, stddev, dtype, seed)
    values = np.random.default_rng(seed).standard_normal(shape, "float32")
    return tensor(mean + stddev * values, dtype)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    if not isinstance(seed, int):
        return KERAS.truncated_normal(shape, mean, stddev, dtype, seed)
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape, "float32")
    outside = np.abs(values) > 2
    # One in twenty: the shape of their distribution does not matter here.
    values[outside] = rng.uniform(-2, 2, outside.sum())
    return tensor(mean + stddev * values, dtype)


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    if not isinstance(seed, int):
        return KERAS.uniform(shape, minval, maxval, dtype, seed)
    values = np.random.default_rng(seed).random(shape, "float32")
    return tensor(minval + (maxval - minval) * values, dtype)


def tensor(values, dtype):
    return keras.ops.convert_to_tensor(values, dtype or keras.config.floatx())


def quick_weights():
    """Returns a context in which Keras's initializers draw with NumPy."""
    functions = {f.__name__: f for f in (normal, truncated_normal, uniform)}
    draws = types.SimpleNamespace(**{**vars(KERAS), **functions})
    return mock.patch.object(random_initializers, "random", draws)
