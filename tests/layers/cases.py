"""All layers, with the inputs that the tests of properties call them with."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_segattn import layers


@dataclass
class LayerCase:
    """A layer and its inputs.

    Attributes:
        name: Name of the test.
        make: Function from `dtype` (a policy, or `None`) to a new layer.
        channels: Channels of each input; an integer where the layer takes one tensor.
        input_strides: Stride of each input against the finest; `1` for all unless said.
        idle: Ends of the paths of weights whose gradient is zero by the equations, as that of a
            bias of attention keys, which moves all energies of a query alike.
    """

    name: str
    make: Any
    channels: Any
    input_strides: Any = None
    idle: tuple = ()

    @property
    def many(self):
        return not isinstance(self.channels, int)

    def shapes(self, height, width, batch=2):
        channels = self.channels if self.many else [self.channels]
        strides = self.input_strides or [1] * len(channels)
        return [
            (
                batch,
                None if height is None else -(-height // stride),
                None if width is None else -(-width // stride),
                count,
            )
            for count, stride in zip(channels, strides, strict=True)
        ]

    def inputs(self, rng, height=6, width=9, scale=1.0):
        values = [
            (scale * rng.normal(size=shape)).astype("float32")
            for shape in self.shapes(height, width)
        ]
        return values if self.many else values[0]

    def model(self, dtype=None, height=None, width=None):
        """A functional model around the layer; unknown sizes unless given."""
        symbols = [keras.Input(shape[1:]) for shape in self.shapes(height, width)]
        inputs = symbols if self.many else symbols[0]
        return keras.Model(inputs, self.make(dtype)(inputs))


def case(name, constructor, channels, input_strides=None, idle=(), **arguments):
    return LayerCase(
        name,
        lambda dtype=None: constructor(dtype=dtype, **arguments),
        channels,
        input_strides,
        idle,
    )


AFM = layers.AttentionFusion
FCA = layers.FeatureCrossAttention
CASES = [
    case("conv", layers.ConvNormAct, 4, filters=6),
    case("conv_stride2", layers.ConvNormAct, 4, filters=6, strides=2, kernel_size=7),
    case("conv_dilated", layers.ConvNormAct, 4, filters=6, dilations=2, activation="relu6"),
    case("conv_linear", layers.ConvNormAct, 4, filters=6, kernel_size=1, activation=None),
    case("conv_asymmetric", layers.ConvNormAct, 4, filters=6, strides=2, padding="asymmetric"),
    case("depthwise", layers.DepthwiseConvNormAct, 4, strides=2),
    case("deconv", layers.DeconvNormAct, [4, 3], input_strides=[2, 1], filters=6),
    case("resize_bilinear", layers.ResizeLike, [4, 3], input_strides=[8, 1]),
    case("resize_aligned", layers.ResizeLike, [4, 3], input_strides=[8, 1], align_corners=True),
    case(
        "resize_nearest", layers.ResizeLike, [4, 3], input_strides=[2, 1], interpolation="nearest"
    ),
    case("fcn_head", layers.FCNHead, 4, classes=3, filters=6, dropout=0.0),
    case("spatial_gate", layers.SpatialGate, 4),
    case("spatial_gate_squeeze", layers.SpatialGate, 4, squeeze=True, kernel_size=7),
    case("channel_gate", layers.ChannelGate, 4),
    case("channel_gate_reduction", layers.ChannelGate, 4, reduction=2),
    case("ccbam", layers.CCBAM, [8, 8], reduction=2),
    case("ccbam_literal", layers.CCBAM, [8, 8], reduction=2, channel_activation=None),
    case("ccbam_kernel7", layers.CCBAM, [8, 8], reduction=2, spatial_kernel_size=7),
    case("se_aspp", layers.SEASPP, 4, filters=6),
    case("se_aspp_3_dilations", layers.SEASPP, 4, filters=6, dilations=(2, 4, 6)),
    case("aspp", layers.ASPP, 4, filters=6, dilations=(1, 2, 4)),
    case("stdc_cat", layers.STDCBlock, 4, filters=8),
    case("stdc_cat_stride2", layers.STDCBlock, 4, filters=8, strides=2),
    case("stdc_cat_2_convs", layers.STDCBlock, 4, filters=8, strides=2, convs=2),
    case("stdc_dilated", layers.STDCBlock, 4, filters=8, strides=2, dilations=2, keep_size=True),
    case("stdc_add", layers.STDCBlock, 8, filters=8, mode="add"),
    case(
        "stdc_add_stride2",
        layers.STDCBlock,
        4,
        filters=8,
        strides=2,
        mode="add",
        # The normalization after the pointwise convolution takes it away.
        idle=("skip_depthwise/norm/beta",),
    ),
    *(
        case(f"fca_{order}", FCA, [5, 4], filters=4, order=order)
        for order in ("spatial_channel", "channel_spatial", "parallel", "spatial")
    ),
    case("strip_vertical", layers.StripAttention, 4, key_filters=6),
    case("strip_horizontal", layers.StripAttention, 4, key_filters=6, orientation="horizontal"),
    case("strip_plain", layers.StripAttention, 4, key_filters=6, normalize=False),
    case("afm", AFM, [4, 6], input_strides=[1, 2], filters=5),
    case("afm_light", AFM, [4, 6], input_strides=[1, 2], filters=5, light=True),
    case("afm_bilinear", AFM, [4, 6], input_strides=[1, 2], filters=5, interpolation="bilinear"),
    case("channel_shuffle", layers.ChannelShuffle, 6, groups=3),
    case("criss_cross", layers.CrissCrossAttention, 8, reduction=4, idle=("key/bias",)),
    case(
        "criss_cross_plain",
        layers.CrissCrossAttention,
        8,
        reduction=4,
        use_gamma=False,
        idle=("key/bias",),
    ),
    case("criss_cross_once", layers.CrissCrossAttention, 8, recurrence=1, idle=("key/bias",)),
    case("pyramid_pooling", layers.PyramidPooling, 4, bins=(1, 2, 3)),
    case("pyramid_pooling_filters", layers.PyramidPooling, 4, filters=5, bins=(6,)),
    case("ema", layers.ExpectationMaximizationAttention, 8, bases=4, idle=("project/bias",)),
    case("non_local", layers.NonLocal, 8, reduction=4, idle=("key/bias",)),
]


def with_cases(function):
    import pytest

    return pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)(function)


def as_array(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor), dtype="float32")
