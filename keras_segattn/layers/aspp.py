"""Atrous Spatial Pyramid Pooling, the context module that SE-ASPP replaces."""

import keras
from keras import ops

from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import ConvNormAct


@keras.saving.register_keras_serializable(package="keras_segattn")
class ASPP(CompositeLayer):
    """Context from parallel dilated convolutions and global average pooling.

    ```
    A_d = ReLU(BN(conv_d(x)))                       # conv_1 is 1x1, conv_d is 3x3 with dilation d
    G   = ReLU(BN(conv1x1(avgpool(x))))             # the same at every pixel
    y   = ReLU(BN(conv1x1([A_1, A_2, ..., G])))
    ```

    Args:
        filters: Integer, channels of each branch and of the output. Defaults to `256`.
        dilations: Sequence of distinct integers, one dilated convolution each. Defaults to
            `(1, 12, 24, 36)`, the baseline of Cross-CBAM.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, height, width, filters)`.

    Raises:
        ValueError: If `dilations` is empty, repeats a number or has a number below 1.

    Example:

    >>> x = np.ones((1, 5, 7, 32), "float32")
    >>> tuple(ASPP(filters=16, dilations=(1, 2, 4))(x).shape)
    (1, 5, 7, 16)

    Reference:
        "Rethinking Atrous Convolution for Semantic Image Segmentation" (Chen et al., 2017),
        section 3.3.

    **Differences from the paper**: the pooled vector is broadcast instead of resized, with the same
    result.
    """

    def __init__(self, filters=256, dilations=(1, 12, 24, 36), **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.dilations = tuple(dilations)
        self.atrous = atrous_convolutions(filters, self.dilations, self.dtype_policy)
        self.average = keras.layers.GlobalAveragePooling2D(
            keepdims=True, dtype=self.dtype_policy, name="average"
        )
        self.image = ConvNormAct(filters, 1, dtype=self.dtype_policy, name="image")
        self.project = ConvNormAct(filters, 1, dtype=self.dtype_policy, name="project")

    def build(self, x_shape):
        for conv in self.atrous:
            conv.build(x_shape)
        self.image.build((x_shape[0], 1, 1, x_shape[-1]))
        self.project.build((*x_shape[:3], (len(self.dilations) + 1) * self.filters))

    def call(self, x, training=None):
        parts = [conv(x, training=training) for conv in self.atrous]
        image = self.image(self.average(x), training=training)  # (batch, 1, 1, filters)
        parts.append(ops.broadcast_to(image, ops.shape(parts[0])))
        # (batch, height, width, (dilations + 1) * filters)
        return self.project(ops.concatenate(parts, axis=-1), training=training)

    def compute_output_shape(self, x_shape):
        return (*x_shape[:3], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "dilations": self.dilations}


def atrous_convolutions(filters, dilations, dtype):
    """Returns one dilated `ConvNormAct` per dilation: 1x1 for dilation 1, otherwise 3x3."""
    if not dilations or min(dilations) < 1 or len(set(dilations)) < len(dilations):
        raise ValueError(
            "`dilations` must be one or more different integers from 1 up, such as (1, 3). "
            f"Received: {dilations}"
        )
    return [
        ConvNormAct(
            filters,
            1 if dilation == 1 else 3,
            dilations=dilation,
            dtype=dtype,
            name=f"atrous{dilation}",
        )
        for dilation in dilations
    ]
