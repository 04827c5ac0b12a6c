"""The preprocessing of a backbone."""

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
        The first that exists: the preprocessing of the ImageNet weights of that name; the attribute
        `preprocessing` of the model; a no-op, if the model normalizes its images itself;
        torchvision's.
    """
    if isinstance(backbone, str) and backbone in IMAGENET_WEIGHTS:
        return IMAGENET_WEIGHTS[backbone].preprocessing
    own = getattr(model, "preprocessing", None)
    if isinstance(own, Preprocessing):
        return own
    return PIXELS if normalizes_images(model) else IMAGENET


def normalizes_images(model):
    """Returns whether a functional model's first layer after the input rescales the images."""
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
