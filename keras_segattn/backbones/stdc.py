"""STDC networks, the backbones of Cross-CBAM."""

import keras

from keras_segattn.arguments import by_name_only
from keras_segattn.backbones.image_input import image_input
from keras_segattn.backbones.output_stride import dilate
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.layers.stdc_block import STDCBlock
from keras_segattn.weights.backbone_weights import load_backbone_weights


@by_name_only
def STDC1(
    *,
    input_shape=(None, None, 3),
    output_stride=32,
    weights=None,
    input_tensor=None,
    name="stdc1",
):
    """STDC1 without its classifier, as a feature pyramid.

    Two 3x3 convolutions with stride 2, then three stages of `STDCBlock`s. Each stage starts with
    stride 2.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        output_stride: Stride of P5: `32`, `16` or `8`. With `16` or `8`, the last one or two stages
            keep the size of their input and dilate their 3x3 kernels, and P4 and P5 have that
            stride. The weights are the same. Defaults to `32`.
        weights: `None` for random weights, or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"stdc1"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 64, 256, 512 and 1024
        channels.

    Raises:
        ValueError: If `output_stride` is not 8, 16 or 32.

    Example:

    >>> pyramid = STDC1()(np.ones((1, 64, 96, 3), "float32"))
    >>> tuple(pyramid["P5"].shape)
    (1, 2, 3, 1024)

    Reference:
        "Rethinking BiSeNet For Real-time Semantic Segmentation" (Fan et al., 2021), table 1.

    **Differences from the paper**: the last 1x1 convolution, read only by the classifier, is
    omitted.
    """
    return _stdc(
        (2, 2, 2), input_shape, weights, input_tensor, name, output_stride, architecture="stdc1"
    )


@by_name_only
def STDC2(
    *,
    input_shape=(None, None, 3),
    output_stride=32,
    weights=None,
    input_tensor=None,
    name="stdc2",
):
    """STDC2 without its classifier, as a feature pyramid.

    Two 3x3 convolutions with stride 2, then three stages of `STDCBlock`s. Each stage starts with
    stride 2.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        output_stride: Stride of P5: `32`, `16` or `8`. With `16` or `8`, the last one or two stages
            keep the size of their input and dilate their 3x3 kernels, and P4 and P5 have that
            stride. The weights are the same. Defaults to `32`.
        weights: `None` for random weights, or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"stdc2"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 64, 256, 512 and 1024
        channels.

    Raises:
        ValueError: If `output_stride` is not 8, 16 or 32.

    Example:

    >>> STDC2(input_shape=(64, 96, 3)).output["P5"].shape
    (None, 2, 3, 1024)

    Reference:
        "Rethinking BiSeNet For Real-time Semantic Segmentation" (Fan et al., 2021), table 1.

    **Differences from the paper**: the last 1x1 convolution, read only by the classifier, is
    omitted.
    """
    return _stdc(
        (4, 5, 3), input_shape, weights, input_tensor, name, output_stride, architecture="stdc2"
    )


def _stdc(
    counts,
    input_shape,
    weights,
    input_tensor,
    name,
    output_stride=32,
    width=64,
    architecture=None,
):
    """STDC network: `counts` blocks in stages 3 to 5, of 4, 8 and 16 times `width` channels."""
    blocks = [(stage, i) for stage, count in enumerate(counts, start=3) for i in range(count)]
    steps = dilate([2 if i == 0 else 1 for _, i in blocks], output_stride)
    image, inputs = image_input(input_shape, input_tensor)
    x = ConvNormAct(width // 2, strides=2, name="stem1")(image)
    x = ConvNormAct(width, strides=2, name="stem2")(x)
    outputs = {"P2": x}
    for (stage, i), (strides, dilations) in zip(blocks, steps, strict=True):
        x = outputs[f"P{stage}"] = STDCBlock(
            2 ** (stage - 1) * width,
            strides=2 if i == 0 else 1,
            dilations=dilations,
            keep_size=i == 0 and strides == 1,
            name=f"stage{stage}_{i}",
        )(x)
    model = keras.Model(inputs, outputs, name=name)
    load_backbone_weights(model, weights, architecture)
    return model
