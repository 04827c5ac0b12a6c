"""The contract between backbones and applications: feature maps at strides 4, 8, 16 and 32."""

import keras

from keras_segattn.backbones.stages import level_strides

LEVELS = ("P2", "P3", "P4", "P5")


def feature_pyramid(backbone, levels=LEVELS):
    """Returns a model that maps images to the pyramid levels of a backbone.

    Args:
        backbone: One of
            - a `keras.Model` whose output is a dict with the keys `"P2"` to `"P5"`, as in
              `keras_segattn.backbones`, or at least the keys in `levels`;
            - a KerasHub backbone, with the attribute `pyramid_outputs`;
            - a KerasCV backbone, with the attribute `pyramid_level_inputs`.
        levels: The levels to return; level `"Pn"` has stride `2 ** n`. Defaults to all four.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)` to a dict of feature maps
        `(batch, ceil(height / 2**n), ceil(width / 2**n), channels_n)`. It shares the weights and
        the name of `backbone`.

    Raises:
        TypeError: If `backbone` is none of the above.
        ValueError: If the backbone lacks one of the levels.

    Example:

    >>> backbone = keras_segattn.backbones.ResNet18()
    >>> sorted(feature_pyramid(backbone, levels=("P4", "P5")).output)
    ['P4', 'P5']
    """
    outputs = _pyramid_outputs(backbone)
    missing = [level for level in levels if level not in outputs]
    if missing:
        raise ValueError(
            f"Backbone {backbone.name!r} lacks the pyramid levels {missing}, which this network "
            f"reads. It has: {sorted(outputs)}"
        )
    return keras.Model(
        backbone.input, {level: outputs[level] for level in levels}, name=backbone.name
    )


def _pyramid_outputs(backbone):
    if not isinstance(backbone, keras.Model):
        raise TypeError(
            "A backbone must be a name, or a keras.Model whose outputs are a dict with keys "
            f"such as 'P4' and 'P5'. Received: {backbone!r} of type {type(backbone).__name__}"
        )
    if hasattr(backbone, "pyramid_outputs"):
        return _named_by_stride(backbone)
    if hasattr(backbone, "pyramid_level_inputs"):
        return {
            level: backbone.get_layer(name).output
            for level, name in backbone.pyramid_level_inputs.items()
        }
    outputs = getattr(backbone, "output", None)
    if not isinstance(outputs, dict):
        raise TypeError(
            f"The outputs of backbone {backbone.name!r} are not a dict of pyramid levels. Build "
            "it as keras.Model(inputs, {'P2': c2, 'P3': c3, 'P4': c4, 'P5': c5}), with maps at "
            "strides 4, 8, 16 and 32. For a network of keras.applications, pass its name instead: "
            "'keras.applications/MobileNet'."
        )
    return outputs


def _named_by_stride(backbone):
    """Returns a KerasHub backbone's levels; its transformers count from `"P1"` at stride 4."""
    outputs = backbone.pyramid_outputs
    strides = level_strides(keras.Model(backbone.input, outputs))
    if len(set(strides.values())) < len(strides):
        # A dilated backbone: several levels have the same stride.
        return outputs
    return {f"P{stride.bit_length() - 1}": outputs[level] for level, stride in strides.items()}
