"""ShuffleNetV2, in torchvision's layout."""

import keras
from keras import ops

from keras_segattn.arguments import by_name_only
from keras_segattn.backbones.image_input import image_input
from keras_segattn.backbones.output_stride import dilate
from keras_segattn.layers.channel_shuffle import ChannelShuffle
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.layers.depthwise_conv_norm_act import DepthwiseConvNormAct
from keras_segattn.weights.backbone_weights import load_backbone_weights

# stage, output channels, number of units, pyramid level (the paper's table 5, width 1.0)
STAGES = (
    (2, 116, 4, "P3"),
    (3, 232, 8, "P4"),
    (4, 464, 4, "P5"),
)


@by_name_only
def ShuffleNetV2(
    *,
    input_shape=(None, None, 3),
    output_stride=32,
    weights=None,
    input_tensor=None,
    name="shufflenet_v2",
):
    """ShuffleNetV2 of width 1.0 without its classifier, as a feature pyramid.

    `y = shuffle([a, conv1x1(depthwise(conv1x1(b)))])` in each unit, where `a` and `b` are the
    halves of the channels. In a unit with stride 2, both branches read all channels, and `a` has
    its own depthwise and 1x1 convolutions.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        output_stride: Stride of P5: `32`, `16` or `8`. With `16` or `8`, the last one or two stages
            keep the size of their input and dilate their depthwise convolutions, and P4 and P5 have
            that stride. The weights are the same. Defaults to `32`.
        weights: `None` for random weights, `"imagenet"` for torchvision's weights (downloaded
            once), or the path of a file that `keras_segattn.weights.load_backbone_weights` reads.
            Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"shufflenet_v2"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 24, 116, 232 and 464
        channels.

    Raises:
        ValueError: If `output_stride` is not 8, 16 or 32.

    Example:

    >>> pyramid = ShuffleNetV2()(np.ones((1, 64, 96, 3), "float32"))
    >>> tuple(pyramid["P5"].shape)
    (1, 2, 3, 464)

    Reference:
        "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design" (Ma et al.,
        2018), section 4 and figure 3(c, d).

    **Differences from the paper**: the last 1x1 convolution to 1024 channels is omitted. It
    precedes the classifier and belongs to no pyramid level.
    """
    units = [
        (f"stage{stage}_{i}", filters, 2 if i == 0 else 1, level)
        for stage, filters, count, level in STAGES
        for i in range(count)
    ]
    steps = dilate([unit[2] for unit in units], output_stride)
    image, inputs = image_input(input_shape, input_tensor)
    x = ConvNormAct(24, strides=2, name="conv1")(image)
    # Zeros work as well as minus infinity: nothing after a ReLU is negative.
    x = keras.layers.ZeroPadding2D(1, name="pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="pool")(x)
    outputs = {"P2": x}
    for (unit, filters, stride, level), (strides, dilations) in zip(units, steps, strict=True):
        x = outputs[level] = _unit(x, filters, stride == 1, strides, dilations, unit)
    model = keras.Model(inputs, outputs, name=name)
    load_backbone_weights(model, weights, "shufflenet_v2")
    return model


def _unit(x, filters, split, strides, dilations, name):
    """A unit that splits the channels, or one whose branches both read all channels."""
    half = filters // 2
    depthwise = {"strides": strides, "dilations": dilations, "activation": None}
    if split:
        a, b = ops.split(x, 2, axis=-1)
    else:
        a = DepthwiseConvNormAct(**depthwise, name=f"{name}_branch1_dw")(x)
        a = ConvNormAct(half, 1, name=f"{name}_branch1_pw")(a)
        b = x
    b = ConvNormAct(half, 1, name=f"{name}_branch2_pw1")(b)
    b = DepthwiseConvNormAct(**depthwise, name=f"{name}_branch2_dw")(b)
    b = ConvNormAct(half, 1, name=f"{name}_branch2_pw2")(b)
    x = keras.layers.Concatenate(name=f"{name}_concat")([a, b])
    return ChannelShuffle(2, name=f"{name}_shuffle")(x)
