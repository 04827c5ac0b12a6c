"""MobileNetV2, in torchvision's layout."""

import keras

from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.layers.depthwise_conv_norm_act import DepthwiseConvNormAct
from keras_segattn.weights.backbone_weights import load_backbone_weights

# expansion factor, output channels, number of blocks, stride of the first (the paper's table 2)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# The last block of each stride, counted as in torchvision from the first inverted residual.
LEVEL_OF_BLOCK = {2: "P2", 5: "P3", 12: "P4", 16: "P5"}


def MobileNetV2(
    *, input_shape=(None, None, 3), weights=None, input_tensor=None, name="mobilenet_v2"
):
    """MobileNetV2 without its classifier, as a feature pyramid.

    `y = x + project(depthwise(expand(x)))` in each inverted residual block, with ReLU6 after the
    expansion and the depthwise convolution, and no activation after the projection.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        weights: `None` for random weights, `"imagenet"` for torchvision's, which are fetched once,
            or the path of a file that `keras_segattn.weights.load_backbone_weights` reads. Defaults
            to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"mobilenet_v2"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 24, 32, 96 and 320
        channels.

    Example:

    >>> pyramid = MobileNetV2()(np.ones((1, 64, 96, 3), "float32"))
    >>> tuple(pyramid["P5"].shape)
    (1, 2, 3, 320)

    Reference:
        "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (Sandler et al., 2018).

    **Differences from the paper**: the last 1x1 convolution to 1280 channels is left out, as CANet
    leaves it out. Stride-2 convolutions pad both sides, as torchvision does and
    `keras.applications` does not.
    """
    inputs = keras.Input(shape=input_shape, tensor=input_tensor, name="image")
    x = ConvNormAct(32, strides=2, activation="relu6", name="stem")(inputs)
    outputs = {}
    block = 0
    for expansion, filters, count, stride in STAGES:
        for i in range(count):
            x = _inverted_residual(x, filters, expansion, stride if i == 0 else 1, f"block{block}")
            if block in LEVEL_OF_BLOCK:
                outputs[LEVEL_OF_BLOCK[block]] = x
            block += 1
    model = keras.Model(inputs, outputs, name=name)
    load_backbone_weights(model, weights, "mobilenet_v2")
    return model


def _inverted_residual(x, filters, expansion, strides, name):
    shortcut = x
    channels = x.shape[-1]
    if expansion != 1:
        x = ConvNormAct(expansion * channels, 1, activation="relu6", name=f"{name}_expand")(x)
    x = DepthwiseConvNormAct(strides=strides, activation="relu6", name=f"{name}_depthwise")(x)
    x = ConvNormAct(filters, 1, activation=None, name=f"{name}_project")(x)
    if strides == 1 and channels == filters:
        x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return x
