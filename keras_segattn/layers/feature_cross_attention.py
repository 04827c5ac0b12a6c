"""Feature Cross Attention, the fusion module of CANet."""

import keras
from keras import ops

from keras_segattn.arguments import check_choice
from keras_segattn.layers.channel_gate import ChannelGate
from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.layers.spatial_gate import SpatialGate

ORDERS = ("spatial_channel", "channel_spatial", "parallel", "spatial")


@keras.saving.register_keras_serializable(package="keras_segattn")
class FeatureCrossAttention(CompositeLayer):
    """Fuses a spatial and a contextual feature map; each one computes one kind of attention.

    ```
    F  = ReLU(BN(conv3x3([S, C])))                    # fused
    Ms = sigmoid(BN(conv3x3(S)))                      # where: one weight per pixel
    Mc = sigmoid(fc(avgpool(C)) + fc(maxpool(C)))     # what: one weight per channel
    y  = ReLU(BN(conv3x3(F * Ms * Mc + F)))
    ```

    Args:
        filters: Integer, the number of channels of the fused map. Defaults to `256`.
        order: Arrangement of the two attention blocks, as in the paper's Table 1:
            `"spatial_channel"` (`(F Ms) Mc + F`), `"channel_spatial"` (`(F Mc) Ms + F`),
            `"parallel"` (`F Ms + F Mc + F`) or `"spatial"` (`F Ms + F`, no channel attention).
            Defaults to `"spatial_channel"`, the paper's choice.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        inputs: List `[spatial, context]` of tensors of shape
            `(batch, height, width, spatial_channels)` and `(batch, height, width, filters)`.

    Returns:
        Tensor of shape `(batch, height, width, filters)`.

    Raises:
        ValueError: If `order` is unknown, if the sizes of the two maps differ, or if channel
            attention is on and `context` does not have `filters` channels.

    Example:

    >>> spatial = np.ones((1, 6, 9, 32), "float32")
    >>> context = np.ones((1, 6, 9, 16), "float32")
    >>> tuple(FeatureCrossAttention(filters=16)([spatial, context]).shape)
    (1, 6, 9, 16)

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), section 3.2 and
        figure 1.

    **Differences from the paper**: the text does not specify how the pooled vectors are combined
    (here: summed before the sigmoid) or the output of the parallel arrangement (here: the sum of
    both gated maps). `Ms` depends only on `S`, and `Mc` only on `C`, so the two sequential orders
    are the same function up to rounding. Both names exist so that Table 1, where they differ by 0.3
    points, can be reproduced.
    """

    def __init__(self, filters=256, order="spatial_channel", **kwargs):
        super().__init__(**kwargs)
        check_choice("order", order, ORDERS)
        self.filters = filters
        self.order = order
        self.fuse = ConvNormAct(filters, dtype=self.dtype_policy, name="fuse")
        self.spatial_gate = SpatialGate(dtype=self.dtype_policy, name="spatial_gate")
        self.channel_gate = None
        if order != "spatial":
            self.channel_gate = ChannelGate(dtype=self.dtype_policy, name="channel_gate")
        self.project = ConvNormAct(filters, dtype=self.dtype_policy, name="project")

    def build(self, input_shape):
        spatial_shape, context_shape = input_shape
        for spatial, context in zip(spatial_shape[1:3], context_shape[1:3], strict=True):
            if None not in (spatial, context) and spatial != context:
                raise ValueError(
                    "`spatial` and `context` must have the same height and width; resize one of "
                    f"them first. Received shapes {spatial_shape} and {context_shape}"
                )
        if self.channel_gate is not None:
            if context_shape[-1] != self.filters:
                raise ValueError(
                    f"Channel attention weighs the {self.filters} fused channels by as many "
                    f"channels of `context`. Received: filters={self.filters} and a context of "
                    f"shape {context_shape}; project it to {self.filters} channels first."
                )
            self.channel_gate.build(context_shape)
        self.fuse.build((*spatial_shape[:3], spatial_shape[-1] + context_shape[-1]))
        self.spatial_gate.build(spatial_shape)
        self.project.build((*spatial_shape[:3], self.filters))

    def call(self, inputs, training=None):
        spatial, context = inputs
        fused = self.fuse(ops.concatenate([spatial, context], axis=-1), training=training)
        where, what = self._gates(inputs, training)
        if self.order == "spatial":
            return self.project(fused * where + fused, training=training)
        if self.order == "parallel":
            attended = fused * where + fused * what
        elif self.order == "channel_spatial":
            attended = fused * what * where
        else:
            attended = fused * where * what
        return self.project(attended + fused, training=training)

    def attention(self, inputs, pixel=None):
        """Returns the map `Ms` and, unless attention is spatial only, the vector `Mc`."""
        where, what = self._gates(inputs, training=False)
        maps = {"spatial": where[..., 0]}
        return maps if what is None else {**maps, "channel": what[:, 0, 0]}

    def _gates(self, inputs, training):
        """`Ms` `(batch, height, width, 1)` and `Mc` `(batch, 1, 1, filters)` or `None`."""
        spatial, context = inputs
        where = self.spatial_gate(spatial, training=training)
        what = None if self.channel_gate is None else self.channel_gate(context)
        return where, what

    def compute_output_shape(self, input_shape):
        spatial_shape, _ = input_shape
        return (*spatial_shape[:3], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "order": self.order}
