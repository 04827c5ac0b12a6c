"""The preprocessing that a backbone brings along."""

import keras

from keras_segattn.weights.imagenet import IMAGENET_WEIGHTS
from keras_segattn.weights.preprocessing import IMAGENET, PIXELS, Preprocessing

NORMALIZING = (keras.layers.Rescaling, keras.layers.Normalization)


def preprocessing_of(backbone, model):
    """Returns the preprocessing of a backbone.

    Args:
        backbone: The backbone as the user gave it, a name or a model.
        model: The backbone as a model.

    Returns:
        The preprocessing of the ImageNet weights of that name; or the attribute `preprocessing` of
        the model; or, if the model normalizes its images itself, one that changes nothing; or
        torchvision's.
    """
    if isinstance(backbone, str) and backbone in IMAGENET_WEIGHTS:
        return IMAGENET_WEIGHTS[backbone].preprocessing
    own = getattr(model, "preprocessing", None)
    if isinstance(own, Preprocessing):
        return own
    return PIXELS if normalizes_images(model) else IMAGENET


def normalizes_images(model):
    """Returns whether the first layer that reads the images of a functional model rescales them."""
    for layer in model.layers:
        if not _reads(layer, model.inputs[0]):
            continue
        if isinstance(layer, NORMALIZING):
            return True
        if isinstance(layer, keras.Model) and normalizes_images(layer):
            return True
    return False


def _reads(layer, image):
    nodes = layer._inbound_nodes
    return any(tensor is image for node in nodes for tensor in node.input_tensors)
