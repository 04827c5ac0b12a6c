"""ResNets in torchvision's layout (a bottleneck has its stride on the 3x3 convolution)."""

import functools

import keras

from keras_segattn.arguments import by_name_only, check_choice
from keras_segattn.backbones.image_input import image_input
from keras_segattn.backbones.output_stride import check_output_stride
from keras_segattn.backbones.pyramid import LEVELS
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.weights.backbone_weights import load_backbone_weights

STEMS = ("standard", "deep")


@by_name_only
def ResNet18(
    *,
    input_shape=(None, None, 3),
    output_stride=32,
    stem="standard",
    attention_before_last_block=None,
    weights=None,
    input_tensor=None,
    name="resnet18",
):
    """ResNet-18 without its classifier, as a feature pyramid.

    `y = ReLU(x + conv3x3(ReLU(conv3x3(x))))` in each block, with batch normalization after every
    convolution.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        output_stride: Stride of P5: `32`, `16` or `8`. With `16` or `8`, the last one or two stages
            keep the size of their input and dilate all their 3x3 convolutions by 2, then 4, and P4
            and P5 have that stride. The weights are the same. Defaults to `32`.
        stem: `"standard"`, a 7x7 convolution, or `"deep"`, three 3x3 convolutions of 64, 64 and 128
            channels; torchvision has no weights for it. Defaults to `"standard"`.
        weights: `None` for random weights, `"imagenet"` for torchvision's weights (downloaded
            once), or the path of a file that `keras_segattn.weights.load_backbone_weights` reads.
            Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"resnet18"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 64, 128, 256 and 512
        channels.

    Raises:
        ValueError: If `output_stride` or `stem` has a value not listed above, or a layer in
            `attention_before_last_block` has weights already or changes the shape of its map.

    Example:

    >>> pyramid = ResNet18()(np.ones((1, 64, 96, 3), "float32"))
    >>> tuple(pyramid["P5"].shape)
    (1, 2, 3, 512)

    Reference:
        "Deep Residual Learning for Image Recognition" (He et al., 2016).

    **Differences from the paper**: none by default.

    With the deep stem, the pooling rounds up (PyTorch's `ceil_mode`), as in CCNet's code: P2 has
    `ceil(height / 2) // 2 + 1` rows, one more than `ceil(height / 4)` if `ceil(height / 2)` is
    even. A dilated stage dilates its first block like the others, also as in CCNet's code.
    """
    return _resnet(
        _basic_block,
        (2, 2, 2, 2),
        input_shape,
        output_stride,
        stem,
        weights,
        input_tensor,
        name,
        attention=attention_before_last_block,
        architecture="resnet18",
    )


@by_name_only
def ResNet50(
    *,
    input_shape=(None, None, 3),
    output_stride=32,
    stem="standard",
    attention_before_last_block=None,
    stride_in_1x1=False,
    weights=None,
    input_tensor=None,
    name="resnet50",
):
    """ResNet-50 without its classifier, as a feature pyramid.

    `y = ReLU(x + conv1x1(ReLU(conv3x3(ReLU(conv1x1(x))))))` in each block, with batch normalization
    after every convolution.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        output_stride: Stride of P5: `32`, `16` or `8`. With `16` or `8`, the last one or two stages
            keep the size of their input and dilate all their 3x3 convolutions by 2, then 4, and P4
            and P5 have that stride. The weights are the same. Defaults to `32`.
        stem: `"standard"`, a 7x7 convolution, or `"deep"`, three 3x3 convolutions of 64, 64 and 128
            channels; torchvision has no weights for it. Defaults to `"standard"`.
        stride_in_1x1: Boolean, whether a bottleneck has its stride on the first 1x1 convolution, as
            maskrcnn-benchmark's checkpoints expect, rather than on the 3x3 convolution. The weights
            have the same names and shapes. Defaults to `False`.
        weights: `None` for random weights, `"imagenet"` for torchvision's weights (downloaded
            once), or the path of a file that `keras_segattn.weights.load_backbone_weights` reads.
            Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"resnet50"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 256, 512, 1024 and 2048
        channels.

    Raises:
        ValueError: If `output_stride` or `stem` has a value not listed above, or a layer in
            `attention_before_last_block` has weights already or changes the shape of its map.

    Example:

    >>> ResNet50(input_shape=(64, 96, 3)).output["P5"].shape
    (None, 2, 3, 2048)

    Reference:
        "Deep Residual Learning for Image Recognition" (He et al., 2016).

    **Differences from the paper**: the stride of a bottleneck is on its 3x3 convolution, as in
    torchvision, not on the first 1x1; convolutions have no bias. `keras.applications.ResNet50`
    follows the paper in the stride and has biases, so its weights do not fit.

    With the deep stem, the pooling rounds up (PyTorch's `ceil_mode`), as in CCNet's code: P2 has
    `ceil(height / 2) // 2 + 1` rows, one more than `ceil(height / 4)` if `ceil(height / 2)` is
    even. A dilated stage dilates its first block like the others, also as in CCNet's code.
    """
    return _resnet(
        functools.partial(_bottleneck, stride_in_1x1=stride_in_1x1),
        (3, 4, 6, 3),
        input_shape,
        output_stride,
        stem,
        weights,
        input_tensor,
        name,
        attention=attention_before_last_block,
        architecture="resnet50",
    )


@by_name_only
def ResNet101(
    *,
    input_shape=(None, None, 3),
    output_stride=32,
    stem="standard",
    attention_before_last_block=None,
    stride_in_1x1=False,
    weights=None,
    input_tensor=None,
    name="resnet101",
):
    """ResNet-101 without its classifier, as a feature pyramid.

    `y = ReLU(x + conv1x1(ReLU(conv3x3(ReLU(conv1x1(x))))))` in each block, with batch normalization
    after every convolution.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        output_stride: Stride of P5: `32`, `16` or `8`. With `16` or `8`, the last one or two stages
            keep the size of their input and dilate all their 3x3 convolutions by 2, then 4, and P4
            and P5 have that stride. The weights are the same. Defaults to `32`.
        stem: `"standard"`, a 7x7 convolution, or `"deep"`, three 3x3 convolutions of 64, 64 and 128
            channels; torchvision has no weights for it. Defaults to `"standard"`.
        stride_in_1x1: Boolean, whether a bottleneck has its stride on the first 1x1 convolution, as
            maskrcnn-benchmark's checkpoints expect, rather than on the 3x3 convolution. The weights
            have the same names and shapes. Defaults to `False`.
        weights: `None` for random weights, `"imagenet"` for torchvision's weights (downloaded
            once), or the path of a file that `keras_segattn.weights.load_backbone_weights` reads.
            Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"resnet101"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 256, 512, 1024 and 2048
        channels.

    Raises:
        ValueError: If `output_stride` or `stem` has a value not listed above, or a layer in
            `attention_before_last_block` has weights already or changes the shape of its map.

    Example:

    >>> ResNet101(input_shape=(64, 96, 3)).output["P5"].shape
    (None, 2, 3, 2048)

    Reference:
        "Deep Residual Learning for Image Recognition" (He et al., 2016).

    **Differences from the paper**: the stride of a bottleneck is on its 3x3 convolution, as in
    torchvision, not on the first 1x1; convolutions have no bias. `keras.applications.ResNet101`
    follows the paper in the stride and has biases, so its weights do not fit.

    With the deep stem, the pooling rounds up (PyTorch's `ceil_mode`), as in CCNet's code: P2 has
    `ceil(height / 2) // 2 + 1` rows, one more than `ceil(height / 4)` if `ceil(height / 2)` is
    even. A dilated stage dilates its first block like the others, also as in CCNet's code.
    """
    return _resnet(
        functools.partial(_bottleneck, stride_in_1x1=stride_in_1x1),
        (3, 4, 23, 3),
        input_shape,
        output_stride,
        stem,
        weights,
        input_tensor,
        name,
        attention=attention_before_last_block,
        architecture="resnet101",
    )


def _resnet(
    block,
    counts,
    input_shape,
    output_stride,
    stem,
    weights,
    input_tensor,
    name,
    width=64,
    attention=None,
    architecture=None,
):
    check_output_stride(output_stride)
    check_choice("stem", stem, STEMS)
    attention = attention or {}
    for level in attention:
        check_choice("a level of attention_before_last_block", level, LEVELS)
    image, inputs = image_input(input_shape, input_tensor)
    x = _stem(image, width, stem)
    outputs = {}
    stride, dilation = 4, 1
    for stage, count in enumerate(counts, start=1):
        strides = 1
        if stage > 1 and stride < output_stride:
            strides = 2
            stride *= 2
        elif stage > 1:
            dilation *= 2
        for i in range(count):
            if i == count - 1 and f"P{stage + 1}" in attention:
                x = _attend(x, attention[f"P{stage + 1}"], f"layer{stage}_attention")
            x = block(x, width, strides if i == 0 else 1, dilation, f"layer{stage}_{i}")
        outputs[f"P{stage + 1}"] = x
        width *= 2
    model = keras.Model(inputs, outputs, name=name)
    load_backbone_weights(model, weights, architecture_with(stem, architecture))
    return model


def architecture_with(stem, architecture):
    """Returns the key into the weights table; the deep stem has its own entry."""
    return f"{architecture}_deep" if stem == "deep" else architecture


def _stem(x, width, stem):
    """Convolutions to stride 2, then pooling to stride 4."""
    if stem == "deep":
        x = ConvNormAct(width, strides=2, name="conv1")(x)
        x = ConvNormAct(width, name="conv2")(x)
        x = ConvNormAct(2 * width, name="conv3")(x)
        # Two rows below and two columns on the right make the pooling round up at any size.
        padding = ((1, 2), (1, 2))
    else:
        x = ConvNormAct(width, 7, strides=2, name="conv1")(x)
        padding = 1
    # Zeros work as well as minus infinity: nothing after a ReLU is negative.
    x = keras.layers.ZeroPadding2D(padding, name="pool_pad")(x)
    return keras.layers.MaxPooling2D(3, strides=2, name="pool")(x)


def _attend(x, layer, name):
    """Applies a copy of the layer, with the same class and arguments and a new name."""
    if not isinstance(layer, keras.layers.Layer) or layer.weights:
        raise ValueError(
            "`attention_before_last_block` copies Keras layers that are not built yet. Received: "
            f"{layer!r}" + " with weights" * isinstance(layer, keras.layers.Layer)
        )
    y = type(layer).from_config({**layer.get_config(), "name": name})(x)
    if y.shape != x.shape:
        raise ValueError(
            "A layer of `attention_before_last_block` must return a map of the shape that it gets, "
            f"for the block after it. Received: {type(layer).__name__}, which turns "
            f"{tuple(x.shape)} into {tuple(y.shape)}"
        )
    return y


def _basic_block(x, filters, strides, dilation, name):
    y = ConvNormAct(filters, strides=strides, dilations=dilation, name=f"{name}_conv1")(x)
    y = ConvNormAct(filters, dilations=dilation, activation=None, name=f"{name}_conv2")(y)
    return _add_shortcut(x, y, strides, name)


def _bottleneck(x, filters, strides, dilation, name, stride_in_1x1=False):
    first, second = (strides, 1) if stride_in_1x1 else (1, strides)
    y = ConvNormAct(filters, 1, strides=first, name=f"{name}_conv1")(x)
    y = ConvNormAct(filters, strides=second, dilations=dilation, name=f"{name}_conv2")(y)
    y = ConvNormAct(4 * filters, 1, activation=None, name=f"{name}_conv3")(y)
    return _add_shortcut(x, y, strides, name)


def _add_shortcut(x, y, strides, name):
    if x.shape[-1] != y.shape[-1]:
        x = ConvNormAct(
            y.shape[-1], 1, strides=strides, activation=None, name=f"{name}_downsample"
        )(x)
    y = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.ReLU(name=f"{name}_relu")(y)
