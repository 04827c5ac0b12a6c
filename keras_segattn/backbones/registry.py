"""Backbones by name."""

import inspect
import re

from keras_segattn.backbones.df import DF1, DF2
from keras_segattn.backbones.efficientnet_lite import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
)
from keras_segattn.backbones.keras_applications import application_names, keras_application
from keras_segattn.backbones.keras_hub_presets import keras_hub_preset
from keras_segattn.backbones.light import LightBackbone
from keras_segattn.backbones.mobilenet_v2 import MobileNetV2
from keras_segattn.backbones.own_preprocessing import preprocessing_of
from keras_segattn.backbones.pyramid import LEVELS, feature_pyramid
from keras_segattn.backbones.resnet import ResNet18, ResNet50, ResNet101, architecture_with
from keras_segattn.backbones.shufflenet_v2 import ShuffleNetV2
from keras_segattn.backbones.stdc import STDC1, STDC2
from keras_segattn.weights.backbone_weights import load_backbone_weights
from keras_segattn.weights.imagenet import IMAGENET_WEIGHTS
from keras_segattn.wording import counted

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


# Prefixes, before a slash, of the names of other libraries' networks.
KERAS_APPLICATIONS, KERAS_HUB = "keras.applications", "keras_hub"


def build_backbone(
    backbone,
    channels=3,
    weights=None,
    levels=LEVELS,
    preprocessing=None,
    freeze=False,
    size=(None, None),
    **options,
):
    """Returns a feature pyramid from the name of a backbone, or from a backbone model.

    Args:
        backbone: One of
            - a name in `BACKBONES`, such as `"resnet18"`;
            - `"keras.applications/NAME"`, such as `"keras.applications/EfficientNetV2B0"`;
            - `"keras_hub/PRESET"`, such as `"keras_hub/resnet_18_imagenet"`, including its weights;
            - a model that `keras_segattn.backbones.feature_pyramid` accepts.
        channels: Integer, the number of channels of the images. Defaults to `3`.
        weights: `None`; `"imagenet"`, for a backbone by name; or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads (for `keras.applications`, a file
            that Keras reads). Defaults to `None`.
        levels: The required pyramid levels. Defaults to all four.
        preprocessing: `Preprocessing` that the weights expect for three channels. Defaults to the
            backbone's own.
        freeze: Boolean, whether to exclude the backbone from training and run its batch
            normalization in inference mode. Defaults to `False`.
        size: Height and width of the images, checked against a model with a fixed input size.
            Defaults to `(None, None)`, any size.
        **options: Further arguments of a backbone by name, such as `output_stride`. Backbones
            without dilation accept only `output_stride=32`. Ignored for a model.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)` to a dict of feature maps.
        Its attribute `preprocessing` is the argument, or the backbone's own preprocessing.

    Raises:
        ImportError: If KerasHub is required but not installed.
        ValueError: If the name is unknown, the named backbone does not support an option, the model
            expects images of another shape, or a level is missing.

    Example:

    >>> build_backbone("resnet18", levels=("P5",)).output["P5"].shape
    (None, None, None, 512)
    """
    model, rest = backbone, weights
    if isinstance(backbone, str):
        model, rest = _by_name(backbone, channels, weights, options)
    pyramid = feature_pyramid(model, levels)
    _check_images(pyramid, channels, size)
    pyramid.preprocessing = preprocessing or preprocessing_of(backbone, model)
    architecture = None
    if isinstance(backbone, str):
        architecture = architecture_with(options.get("stem"), backbone)
    load_backbone_weights(model, rest, architecture, pyramid.preprocessing)
    if freeze:
        pyramid.trainable = False
    return pyramid


def has_imagenet_weights(backbone, stem="standard"):
    """Returns whether a named backbone supports `weights="imagenet"`, downloaded or not.

    Args:
        backbone: A name that `build_backbone` takes. A preset of KerasHub brings its own weights.
        stem: `"standard"`, or `"deep"` for a ResNet with that stem. Defaults to `"standard"`.

    Example:

    >>> has_imagenet_weights("resnet18"), has_imagenet_weights("light")
    (True, False)
    """
    library, _, name = backbone.partition("/")
    if library == KERAS_APPLICATIONS:
        return name in application_names()
    return architecture_with(stem, backbone) in IMAGENET_WEIGHTS


def is_preset(backbone):
    """Returns whether a name is a KerasHub preset, which includes its weights."""
    library, _, name = backbone.partition("/")
    return library == KERAS_HUB and bool(name)


def _by_name(backbone, channels, weights, options):
    """Returns the named model and the weights still to be loaded into it."""
    library, _, name = backbone.partition("/")
    if library in (KERAS_APPLICATIONS, KERAS_HUB) and name:
        _check_options(backbone, options, ())
        if library == KERAS_APPLICATIONS:
            return keras_application(name, channels, weights), None
        if weights is not None:
            raise ValueError(
                f"The preset of {backbone!r} includes its weights: omit `backbone_weights`. "
                f"Received: {weights!r}"
            )
        return keras_hub_preset(name), None
    if backbone not in BACKBONES:
        raise ValueError(
            f"Unknown backbone {backbone!r}.{_meant(backbone)} Choose one of {sorted(BACKBONES)}, "
            "a network of keras.applications such as 'keras.applications/EfficientNetV2B0', a "
            "preset of KerasHub such as 'keras_hub/resnet_18_imagenet', or pass your own "
            "model (see keras_segattn.backbones.feature_pyramid)."
        )
    constructor = BACKBONES[backbone]
    known = inspect.signature(constructor).parameters.keys()
    _check_options(backbone, options, known)
    options = {option: value for option, value in options.items() if option in known}
    return constructor(input_shape=(None, None, channels), **options), weights


def _meant(backbone):
    """Returns a question with the names that differ in case, punctuation or library only."""
    names = [*BACKBONES, *(f"{KERAS_APPLICATIONS}/{name}" for name in application_names())]
    found = [name for name in names if _plain(name) == _plain(backbone)]
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""


def _plain(backbone):
    return re.sub("keras.applications|[^a-z0-9]", "", backbone.lower())


def _check_options(backbone, options, known):
    # A backbone without dilation has an output stride of 32.
    lacking = {
        option: value
        for option, value in options.items()
        if option not in known and (option, value) != ("output_stride", 32)
    }
    if lacking:
        advice = " Pass `output_stride=32` to take it as it is." * ("output_stride" in lacking)
        raise ValueError(
            f"Backbone {backbone!r} has no {sorted(lacking)}, which this network sets.{advice} "
            "Otherwise choose another, or pass a model."
        )


def _check_images(pyramid, channels, size):
    *own_size, own_channels = pyramid.input.shape[1:]
    if own_channels != channels:
        raise ValueError(
            f"Backbone {pyramid.name!r} takes images of {counted(own_channels, 'channel')}, "
            f"not the {channels} of `input_shape`."
        )
    for own, given in zip(own_size, size, strict=True):
        if own is not None and own != given:
            raise ValueError(
                f"Backbone {pyramid.name!r} takes only images of {own_size[0]}x{own_size[1]}, and "
                f"`input_shape` says {size[0]}x{size[1]}. Build it with the input shape (None, "
                f"None, {channels}), or give the network `input_shape=({own_size[0]}, "
                f"{own_size[1]}, {channels})`."
            )
