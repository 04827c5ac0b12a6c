"""All networks, on a backbone that is quick to build, for the tests of properties."""

import keras
import pytest

from keras_segattn import applications
from keras_segattn.layers import ConvNormAct


def tiny_backbone(channels=3):
    """A user's own backbone: five stride-2 convolutions."""
    image = keras.Input((None, None, channels))
    x = ConvNormAct(4, strides=2)(image)
    levels = {}
    for level, filters in (("P2", 6), ("P3", 8), ("P4", 12), ("P5", 32)):
        x = levels[level] = ConvNormAct(filters, strides=2)(x)
    return keras.Model(image, levels, name="tiny")


def network(constructor, **defaults):
    def make(**arguments):
        if "backbone" not in arguments:
            arguments["backbone"] = tiny_backbone()
        return constructor(**{"classes": 5, **defaults, **arguments})

    return make


CASES = {
    "attanet": network(applications.AttaNet, filters=8),
    "canet": network(applications.CANet, filters=16, up_channels=8),
    "ccnet": network(applications.CCNet, filters=16),
    "crosscbam": network(applications.CrossCBAM, filters=16, reduction=2),
}


def with_cases(function):
    return pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())(function)
