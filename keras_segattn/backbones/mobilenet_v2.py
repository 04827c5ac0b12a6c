"""MobileNetV2, in torchvision's layout."""

import keras

from keras_segattn.arguments import by_name_only
from keras_segattn.backbones.image_input import image_input
from keras_segattn.backbones.inverted_residual import inverted_residual
from keras_segattn.backbones.output_stride import dilate
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.weights.backbone_weights import load_backbone_weights

# expansion factor, output channels, number of blocks, first block's stride (the paper's table 2)
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


@by_name_only
def MobileNetV2(
    *,
    input_shape=(None, None, 3),
    output_stride=32,
    weights=None,
    input_tensor=None,
    name="mobilenet_v2",
):
    """MobileNetV2 without its classifier, as a feature pyramid.

    `y = x + project(depthwise(expand(x)))` in each inverted residual block, with ReLU6 after the
    expansion and the depthwise convolution, and no activation after the projection.

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
        name: Name of the model. Defaults to `"mobilenet_v2"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4", "P5"}` with 24, 32, 96 and 320
        channels.

    Raises:
        ValueError: If `output_stride` is not 8, 16 or 32.

    Example:

    >>> pyramid = MobileNetV2()(np.ones((1, 64, 96, 3), "float32"))
    >>> tuple(pyramid["P5"].shape)
    (1, 2, 3, 320)

    Reference:
        "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (Sandler et al., 2018).

    **Differences from the paper**: the last 1x1 convolution to 1280 channels is omitted, as in
    CANet. Stride-2 convolutions pad both sides, as in torchvision and unlike `keras.applications`.
    """
    blocks = [
        (expansion, filters, stride if i == 0 else 1)
        for expansion, filters, count, stride in STAGES
        for i in range(count)
    ]
    steps = dilate([stride for _, _, stride in blocks], output_stride, stride=2)
    image, inputs = image_input(input_shape, input_tensor)
    x = ConvNormAct(32, strides=2, activation="relu6", name="stem")(image)
    outputs = {}
    for block, (expansion, filters, stride) in enumerate(blocks):
        strides, dilations = steps[block]
        x = inverted_residual(
            x,
            filters,
            expansion,
            strides=strides,
            dilations=dilations,
            add=stride == 1 and x.shape[-1] == filters,
            name=f"block{block}",
        )
        if block in LEVEL_OF_BLOCK:
            outputs[LEVEL_OF_BLOCK[block]] = x
    model = keras.Model(inputs, outputs, name=name)
    load_backbone_weights(model, weights, "mobilenet_v2")
    return model
