"""DF networks: residual networks found by an architecture search for speed."""

import keras

from keras_segattn.arguments import by_name_only
from keras_segattn.backbones.image_input import image_input
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.weights.backbone_weights import load_backbone_weights

# pyramid level, then filters and number of blocks of each of its groups
DF1_STAGES = (
    ("P3", ((64, 3),)),
    ("P4", ((128, 3),)),
    ("P5", ((256, 3), (512, 1))),
)
DF2_STAGES = (
    ("P3", ((64, 2), (128, 1))),
    ("P4", ((128, 10), (256, 1))),
    ("P5", ((256, 4), (512, 2))),
)


@by_name_only
def DF1(*, input_shape=(None, None, 3), weights=None, input_tensor=None, name="df1"):
    """DF1 without its classifier, as a feature pyramid.

    `y = ReLU(shortcut(x) + conv3x3(ReLU(conv3x3(x))))` in each block, with batch normalization
    after every convolution. `shortcut` is a 1x1 convolution if the stride or the channels change.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        weights: `None` for random weights, or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"df1"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 64, 64, 128 and 512
        channels.

    Example:

    >>> DF1(input_shape=(64, 96, 3)).output["P5"].shape
    (None, 2, 3, 512)

    Reference:
        "Partial Order Pruning: for Best Speed/Accuracy Trade-off in Neural Architecture Search"
        (Li et al., 2019).

    **Differences from the paper**: none known.
    """
    return _df(DF1_STAGES, input_shape, weights, input_tensor, name, "df1")


@by_name_only
def DF2(*, input_shape=(None, None, 3), weights=None, input_tensor=None, name="df2"):
    """DF2 without its classifier, as a feature pyramid.

    It consists of 20 blocks of the kind in `DF1`, which has 10.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        weights: `None` for random weights, or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"df2"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 64, 128, 256 and 512
        channels.

    Example:

    >>> DF2(input_shape=(64, 96, 3)).output["P5"].shape
    (None, 2, 3, 512)

    Reference:
        "Partial Order Pruning: for Best Speed/Accuracy Trade-off in Neural Architecture Search"
        (Li et al., 2019).

    **Differences from the paper**: none known.
    """
    return _df(DF2_STAGES, input_shape, weights, input_tensor, name, "df2")


def _df(stages, input_shape, weights, input_tensor, name, architecture):
    image, inputs = image_input(input_shape, input_tensor)
    x = ConvNormAct(32, strides=2, name="stem1")(image)
    x = ConvNormAct(64, strides=2, name="stem2")(x)
    outputs = {"P2": x}
    for level, groups in stages:
        widths = [filters for filters, count in groups for _ in range(count)]
        for i, filters in enumerate(widths):
            x = _block(x, filters, 2 if i == 0 else 1, f"stage{level[1]}_{i}")
        outputs[level] = x
    model = keras.Model(inputs, outputs, name=name)
    load_backbone_weights(model, weights, architecture)
    return model


def _block(x, filters, strides, name):
    y = ConvNormAct(filters, strides=strides, name=f"{name}_conv1")(x)
    y = ConvNormAct(filters, activation=None, name=f"{name}_conv2")(y)
    if strides > 1 or x.shape[-1] != filters:
        x = ConvNormAct(filters, 1, strides=strides, activation=None, name=f"{name}_downsample")(x)
    y = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.ReLU(name=f"{name}_relu")(y)
