"""ResNets in torchvision's layout (the stride of a bottleneck on its 3x3 convolution)."""

import keras

from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.weights.loading import load_backbone_weights

WIDTHS = (64, 128, 256, 512)


def ResNet18(*, input_shape=(None, None, 3), weights=None, input_tensor=None, name="resnet18"):
    """ResNet-18 without its classifier, as a feature pyramid.

    `y = ReLU(x + conv3x3(ReLU(conv3x3(x))))` in each block, every convolution followed by batch
    normalization.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        weights: `None` for random weights, or the path of a `.weights.h5` or `.npz` file. Defaults
            to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"resnet18"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 64, 128, 256 and 512
        channels.

    Example:

    >>> pyramid = ResNet18()(np.ones((1, 64, 96, 3), "float32"))
    >>> tuple(pyramid["P5"].shape)
    (1, 2, 3, 512)

    Reference:
        "Deep Residual Learning for Image Recognition" (He et al., 2016).

    **Differences from the paper**: none.
    """
    return _resnet(_basic_block, (2, 2, 2, 2), input_shape, weights, input_tensor, name)


def ResNet101(*, input_shape=(None, None, 3), weights=None, input_tensor=None, name="resnet101"):
    """ResNet-101 without its classifier, as a feature pyramid.

    `y = ReLU(x + conv1x1(ReLU(conv3x3(ReLU(conv1x1(x))))))` in each block, every convolution
    followed by batch normalization.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        weights: `None` for random weights, or the path of a `.weights.h5` or `.npz` file. Defaults
            to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"resnet101"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 256, 512, 1024 and 2048
        channels.

    Example:

    >>> ResNet101(input_shape=(64, 96, 3)).output["P5"].shape
    (None, 2, 3, 2048)

    Reference:
        "Deep Residual Learning for Image Recognition" (He et al., 2016).

    **Differences from the paper**: the stride of a bottleneck is on its 3x3 convolution, as in
    torchvision, not on the first 1x1; convolutions have no bias. `keras.applications.ResNet101`
    follows the paper in the first and has biases, so that its weights do not fit.
    """
    return _resnet(_bottleneck, (3, 4, 23, 3), input_shape, weights, input_tensor, name)


def _resnet(block, counts, input_shape, weights, input_tensor, name):
    inputs = keras.Input(shape=input_shape, tensor=input_tensor, name="image")
    x = ConvNormAct(64, 7, strides=2, name="conv1")(inputs)
    # Zeros are as good as minus infinity here: nothing after a ReLU is below them.
    x = keras.layers.ZeroPadding2D(1, name="pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="pool")(x)
    outputs = {}
    for stage, (filters, count) in enumerate(zip(WIDTHS, counts, strict=True), start=1):
        for i in range(count):
            strides = 2 if stage > 1 and i == 0 else 1
            x = block(x, filters, strides, f"layer{stage}_{i}")
        outputs[f"P{stage + 1}"] = x
    model = keras.Model(inputs, outputs, name=name)
    if weights is not None:
        load_backbone_weights(model, weights)
    return model


def _basic_block(x, filters, strides, name):
    y = ConvNormAct(filters, strides=strides, name=f"{name}_conv1")(x)
    y = ConvNormAct(filters, activation=None, name=f"{name}_conv2")(y)
    return _add_shortcut(x, y, strides, name)


def _bottleneck(x, filters, strides, name):
    y = ConvNormAct(filters, 1, name=f"{name}_conv1")(x)
    y = ConvNormAct(filters, strides=strides, name=f"{name}_conv2")(y)
    y = ConvNormAct(4 * filters, 1, activation=None, name=f"{name}_conv3")(y)
    return _add_shortcut(x, y, strides, name)


def _add_shortcut(x, y, strides, name):
    if x.shape[-1] != y.shape[-1]:
        x = ConvNormAct(
            y.shape[-1], 1, strides=strides, activation=None, name=f"{name}_downsample"
        )(x)
    y = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.ReLU(name=f"{name}_relu")(y)
