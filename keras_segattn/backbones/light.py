"""Eight convolutions that replace the backbone in AttaNet's fastest network."""

import keras

from keras_segattn.arguments import by_name_only
from keras_segattn.backbones.image_input import image_input
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.weights.backbone_weights import load_backbone_weights

# name, filters, kernel size, stride, pyramid level
CONVOLUTIONS = (
    ("S1_1", 32, 7, 2, None),
    ("S1_2", 64, 3, 2, "P2"),
    ("S2_1", 64, 3, 2, None),
    ("S2_2", 64, 3, 1, None),
    ("S2_3", 64, 3, 1, "P3"),
    ("S3_1", 128, 3, 2, None),
    ("S3_2", 128, 3, 1, "P4_inner"),
    ("S3_3", 128, 3, 1, "P4"),
)


@by_name_only
def LightBackbone(*, input_shape=(None, None, 3), weights=None, input_tensor=None, name="light"):
    """The backbone of AttaNet's network without pretraining, as a feature pyramid.

    Eight convolutions, each with batch normalization and ReLU.

    Args:
        input_shape: Tuple `(height, width, channels)`; height and width may be `None`. Defaults to
            `(None, None, 3)`.
        weights: `None` for random weights, or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        name: Name of the model. Defaults to `"light"`.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)`, normalized by the mean and
        standard deviation of ImageNet, to `{"P2", "P3", "P4"}` with 64, 64 and 128 channels, and
        `"P4_inner"`, the map before the last convolution, which an auxiliary head reads. It has no
        `"P5"`.

    Example:

    >>> pyramid = LightBackbone()(np.ones((1, 64, 96, 3), "float32"))
    >>> tuple(pyramid["P4"].shape)
    (1, 4, 6, 128)

    Reference:
        "AttaNet: Attention-Augmented Network for Fast and Accurate Scene Parsing" (Song, Mei and
        Huang, 2021). The paper only names this backbone; the layers follow the authors' network.

    **Differences from the paper**: none known.
    """
    image, inputs = image_input(input_shape, input_tensor)
    x, outputs = image, {}
    for layer, filters, kernel_size, strides, level in CONVOLUTIONS:
        x = ConvNormAct(filters, kernel_size, strides=strides, name=layer)(x)
        if level is not None:
            outputs[level] = x
    model = keras.Model(inputs, outputs, name=name)
    load_backbone_weights(model, weights, "light")
    return model
