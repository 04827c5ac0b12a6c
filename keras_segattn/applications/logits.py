"""The end of every network."""

import keras

from keras_segattn.layers import ResizeLike


def full_size_logits(x, image, activation, align_corners=False, prefix=""):
    """Resizes logits to the image, and activates them if asked for.

    Both are in float32 under mixed precision too, as losses and exports need them.
    """
    x = ResizeLike(align_corners=align_corners, dtype="float32", name=f"{prefix}logits")([x, image])
    if activation is not None:
        x = keras.layers.Activation(activation, dtype="float32", name=f"{prefix}predictions")(x)
    return x


def ends_in_softmax(model):
    """Tells whether a functional model returns probabilities rather than logits."""
    layer = model.outputs[0]._keras_history.operation
    if isinstance(layer, keras.layers.Softmax):
        return True
    return getattr(layer, "activation", None) is keras.activations.softmax
