"""KerasHub backbones by preset name."""

import numpy as np

from keras_segattn.weights.preprocessing import PIXELS, Preprocessing


def keras_hub_preset(preset):
    """Returns the backbone of a KerasHub preset, with its weights and its preprocessing.

    Args:
        preset: Name of a preset such as `"resnet_18_imagenet"`, a handle that starts with
            `"kaggle://"` or `"hf://"`, or a folder that `save_to_preset` wrote.

    Returns:
        The `keras_hub.models.Backbone`. Its attribute `preprocessing` normalizes pixels like the
        image converter of the preset.

    Raises:
        ImportError: If KerasHub is not installed.
        ValueError: If the preset is unknown, or its backbone has no feature pyramid.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(
            f"The backbone 'keras_hub/{preset}' needs the library keras-hub, which is not "
            'installed: pip install "keras-segattn[kerashub]"'
        ) from error
    backbone = keras_hub.models.Backbone.from_preset(preset)
    if not hasattr(backbone, "pyramid_outputs"):
        raise ValueError(
            f"The KerasHub preset {preset!r} contains a {type(backbone).__name__}, which has no "
            "feature pyramid. Choose one of a convolutional network, such as "
            "'resnet_18_imagenet'."
        )
    backbone.preprocessing = _preprocessing(keras_hub, preset)
    return backbone


def _preprocessing(keras_hub, preset):
    try:
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    except (ValueError, FileNotFoundError):
        # The preset has no image converter, so its backbone reads raw pixels.
        return PIXELS
    scale = np.broadcast_to(1.0 if converter.scale is None else converter.scale, (3,))
    offset = np.broadcast_to(0.0 if converter.offset is None else converter.offset, (3,))
    # x * scale + offset = (x / 255 - mean) / std
    std = 1 / (255 * scale)
    return Preprocessing(-offset * std, std)
