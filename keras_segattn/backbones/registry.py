"""Backbones by name."""

from keras_segattn.backbones.mobilenet_v2 import MobileNetV2
from keras_segattn.backbones.pyramid import LEVELS, feature_pyramid
from keras_segattn.backbones.resnet import ResNet18, ResNet101
from keras_segattn.backbones.stdc import STDC1, STDC2
from keras_segattn.weights.loading import load_backbone_weights

BACKBONES = {
    "mobilenet_v2": MobileNetV2,
    "resnet18": ResNet18,
    "resnet101": ResNet101,
    "stdc1": STDC1,
    "stdc2": STDC2,
}


def build_backbone(backbone, channels=3, weights=None, levels=LEVELS):
    """Returns a feature pyramid from the name of a backbone, or from a backbone model.

    Args:
        backbone: `"mobilenet_v2"`, `"resnet18"`, `"resnet101"`, `"stdc1"` or `"stdc2"`; or a model
            that `keras_segattn.backbones.feature_pyramid` accepts.
        channels: Integer, the number of channels of the images. Defaults to `3`.
        weights: `None`, or the path of a `.weights.h5` or `.npz` file. Defaults to `None`.
        levels: The pyramid levels that are needed. Defaults to all four.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)` to a dict of feature maps.

    Raises:
        ValueError: If the name is unknown, the model takes images of another number of channels,
            or a level is missing.

    Example:

    >>> build_backbone("resnet18", levels=("P5",)).output_shape
    {'P5': (None, None, None, 512)}
    """
    if isinstance(backbone, str):
        if backbone not in BACKBONES:
            raise ValueError(
                f"Unknown backbone {backbone!r}. Choose one of {sorted(BACKBONES)}, or pass a "
                "model of your own (see keras_segattn.backbones.feature_pyramid)."
            )
        model = BACKBONES[backbone](input_shape=(None, None, channels))
    else:
        model = backbone
    pyramid = feature_pyramid(model, levels)
    if pyramid.input.shape[-1] != channels:
        raise ValueError(
            f"Backbone {pyramid.name!r} takes images of {pyramid.input.shape[-1]} channels, not "
            f"the {channels} of `input_shape`."
        )
    if weights is not None:
        load_backbone_weights(model, weights)
    return pyramid
