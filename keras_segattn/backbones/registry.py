"""Backbones by name."""

import inspect

from keras_segattn.backbones.df import DF1, DF2
from keras_segattn.backbones.efficientnet_lite import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
)
from keras_segattn.backbones.light import LightBackbone
from keras_segattn.backbones.mobilenet_v2 import MobileNetV2
from keras_segattn.backbones.pyramid import LEVELS, feature_pyramid
from keras_segattn.backbones.resnet import ResNet18, ResNet50, ResNet101, architecture_with
from keras_segattn.backbones.shufflenet_v2 import ShuffleNetV2
from keras_segattn.backbones.stdc import STDC1, STDC2
from keras_segattn.weights.backbone_weights import load_backbone_weights
from keras_segattn.weights.imagenet import preprocessing_of

BACKBONES = {
    "df1": DF1,
    "df2": DF2,
    "efficientnet_lite0": EfficientNetLite0,
    "efficientnet_lite1": EfficientNetLite1,
    "efficientnet_lite2": EfficientNetLite2,
    "light": LightBackbone,
    "mobilenet_v2": MobileNetV2,
    "resnet18": ResNet18,
    "resnet50": ResNet50,
    "resnet101": ResNet101,
    "shufflenet_v2": ShuffleNetV2,
    "stdc1": STDC1,
    "stdc2": STDC2,
}


def build_backbone(
    backbone, channels=3, weights=None, levels=LEVELS, preprocessing=None, **options
):
    """Returns a feature pyramid from the name of a backbone, or from a backbone model.

    Args:
        backbone: One of the names in `BACKBONES`, such as `"resnet18"`; or a model that
            `keras_segattn.backbones.feature_pyramid` accepts.
        channels: Integer, the number of channels of the images. Defaults to `3`.
        weights: `None`; `"imagenet"`, for a backbone by name; or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        levels: The pyramid levels that are needed. Defaults to all four.
        preprocessing: `Preprocessing` that the weights expect of three channels. Defaults to that
            of the backbone's ImageNet weights.
        **options: Further arguments of a backbone by name, such as `output_stride`.
            A model is taken as it is.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)` to a dict of feature maps.
        Its attribute `preprocessing` is the argument, or the preprocessing of the backbone.

    Raises:
        ValueError: If the name is unknown, the backbone of that name lacks one of the options, the
            model takes images of another number of channels, or a level is missing.

    Example:

    >>> build_backbone("resnet18", levels=("P5",)).output["P5"].shape
    (None, None, None, 512)
    """
    architecture = None
    if isinstance(backbone, str):
        if backbone not in BACKBONES:
            raise ValueError(
                f"Unknown backbone {backbone!r}. Choose one of {sorted(BACKBONES)}, or pass a "
                "model of your own (see keras_segattn.backbones.feature_pyramid)."
            )
        constructor = BACKBONES[backbone]
        lacking = sorted(options.keys() - inspect.signature(constructor).parameters.keys())
        if lacking:
            raise ValueError(
                f"Backbone {backbone!r} has no {lacking}, which this network sets. Choose another, "
                "or pass a model."
            )
        architecture = architecture_with(options.get("stem"), backbone)
        model = constructor(input_shape=(None, None, channels), **options)
    else:
        model = backbone
    pyramid = feature_pyramid(model, levels)
    if pyramid.input.shape[-1] != channels:
        raise ValueError(
            f"Backbone {pyramid.name!r} takes images of {pyramid.input.shape[-1]} channels, not "
            f"the {channels} of `input_shape`."
        )
    pyramid.preprocessing = preprocessing or preprocessing_of(backbone)
    load_backbone_weights(model, weights, architecture, pyramid.preprocessing)
    return pyramid
