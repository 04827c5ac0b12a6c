"""Attention fusion, the AFM of AttaNet: a gate blends two pyramid levels."""

import keras
from keras import ops

from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import ConvNormAct, batch_norm
from keras_segattn.layers.resize_like import ResizeLike


@keras.saving.register_keras_serializable(package="keras_segattn")
class AttentionFusion(CompositeLayer):
    """Attention fusion: blends two pyramid levels by a per-channel gate `alpha`.

    ```
    L = project(low)                                        # 3x3, and likewise below
    alpha = sigmoid(BN(conv1x1(mean_hw(mix([L, up(high)])))))    # mix: 1x1
    y = up(alpha * project(high)) + (1 - alpha) * L
    ```

    `project` and `mix` are a convolution, batch normalization and ReLU; `up` resizes to the size of
    `low`.

    Args:
        filters: Integer, the number of channels of the fused map. Defaults to `128`.
        interpolation: `"nearest"` or `"bilinear"`, how the high level is resized. Defaults to
            `"nearest"`, as in the authors' network; the paper's text says bilinear.
        light: Boolean, whether to fuse as in the authors' network without a pretrained backbone. A
            3x3 convolution first reduces each level to `filters` channels; `mix` is then a 3x3
            convolution of the reduced levels, and `project` reads the reduced levels. Defaults to
            `False`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        inputs: List `[low, high]` of tensors of shape `(batch, height, width, low_channels)` and
            `(batch, h, w, high_channels)`, straight from the backbone; `high` is the coarser one.
        return_high: Boolean, whether to also return `up(alpha * project(high))`. AttaNet supervises
            it with an auxiliary head. Defaults to `False`.

    Returns:
        Tensor of shape `(batch, height, width, filters)`, or a tuple of two such tensors.

    Raises:
        ValueError: If `interpolation` is unknown.

    Example:

    >>> low, high = np.ones((1, 6, 9, 32), "float32"), np.ones((1, 3, 5, 64), "float32")
    >>> tuple(AttentionFusion(filters=16)([low, high]).shape)
    (1, 6, 9, 16)

    Reference:
        "AttaNet: Attention-Augmented Network for Fast and Accurate Scene Parsing" (Song, Mei and
        Huang, 2021), section "Attention Fusion Module" and figure 4.

    **Differences from the paper**, all taken from the authors' network: `alpha` has one value per
    channel because it follows global pooling, whereas the text has one value per pixel; the high
    level is projected before it is weighted; batch normalization precedes the sigmoid. The
    normalization sees one pixel per image, so do not train on batches of one image.
    """

    def __init__(self, filters=128, interpolation="nearest", light=False, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.interpolation = interpolation
        self.light = light
        self.reduce_low = self.reduce_high = None
        if light:
            self.reduce_low = self._convolution(3, "reduce_low")
            self.reduce_high = self._convolution(3, "reduce_high")
        self.project_low = self._convolution(3, "project_low")
        self.project_high = self._convolution(3, "project_high")
        self.mix = self._convolution(3 if light else 1, "mix")
        self.pool = keras.layers.GlobalAveragePooling2D(
            keepdims=True, dtype=self.dtype_policy, name="pool"
        )
        self.weigh = keras.layers.Conv2D(
            filters, 1, use_bias=False, dtype=self.dtype_policy, name="weigh"
        )
        self.norm = batch_norm(dtype=self.dtype_policy)
        self.resize = ResizeLike(interpolation, dtype=self.dtype_policy, name="resize")

    def _convolution(self, kernel_size, name):
        return ConvNormAct(self.filters, kernel_size, dtype=self.dtype_policy, name=name)

    def build(self, input_shape):
        low_shape, high_shape = input_shape
        if self.light:
            self.reduce_low.build(low_shape)
            self.reduce_high.build(high_shape)
            low_shape = (*low_shape[:3], self.filters)
            high_shape = (*high_shape[:3], self.filters)
        self.project_low.build(low_shape)
        self.project_high.build(high_shape)
        self.resize.build([(*high_shape[:3], self.filters), low_shape])
        self.mix.build((*low_shape[:3], self.filters + high_shape[-1]))
        self.weigh.build((None, 1, 1, self.filters))
        self.norm.build((None, 1, 1, self.filters))

    def call(self, inputs, return_high=False, training=None):
        low, high, alpha = self._weigh(inputs, training)
        high = alpha * self.project_high(high, training=training)  # (batch, h, w, filters)
        high = self.resize([high, low])  # (batch, height, width, filters)
        fused = high + (1 - alpha) * low
        return (fused, high) if return_high else fused

    def attention(self, inputs, pixel=None):
        """Returns the vector `alpha`, the weight of the high level in each channel."""
        *_, alpha = self._weigh(inputs, training=False)
        return {"fusion": alpha[:, 0, 0]}

    def _weigh(self, inputs, training):
        """Returns the projected low level, the raw high level, and the high level's weight."""
        low, high = inputs
        if not self.light:
            low = self.project_low(low, training=training)  # (batch, height, width, filters)
            return low, high, self._alpha(low, high, training)
        low = self.reduce_low(low, training=training)
        high = self.reduce_high(high, training=training)
        alpha = self._alpha(low, high, training)  # (batch, 1, 1, filters)
        return self.project_low(low, training=training), high, alpha

    def _alpha(self, low, high, training):
        mixed = ops.concatenate([low, self.resize([high, low])], axis=-1)
        pooled = self.pool(self.mix(mixed, training=training))  # (batch, 1, 1, filters)
        return ops.sigmoid(self.norm(self.weigh(pooled), training=training))

    def compute_output_shape(self, input_shape):
        low_shape, _ = input_shape
        return (*low_shape[:3], self.filters)

    def compute_output_spec(self, inputs, return_high=False, training=None):
        shape = self.compute_output_shape([x.shape for x in inputs])
        fused, high = (keras.KerasTensor(shape, dtype=self.compute_dtype) for _ in range(2))
        return (fused, high) if return_high else fused

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "interpolation": self.interpolation,
            "light": self.light,
        }
