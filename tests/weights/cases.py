"""State dicts for the tests of weights."""

import numpy as np

from keras_segattn.weights.naming import torchvision
from keras_segattn.weights.slot import layers_with_weights, slots_of
from tests.training import to_numpy


def state_dict_of(backbone):
    """Returns the weights of a backbone by torchvision's names."""
    found = layers_with_weights(backbone)
    namings = (torchvision.resnet, torchvision.mobilenet_v2, torchvision.shufflenet_v2)
    naming = next(naming for make in namings if (naming := make(list(found))))
    return {
        slot.key: np.transpose(to_numpy(slot.variable), np.argsort(slot.axes))
        for slot in slots_of(found, naming)
    }
