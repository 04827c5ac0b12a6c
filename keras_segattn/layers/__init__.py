"""Reusable layers. All of them map `(batch, height, width, channels)` to the same layout."""

from keras_segattn.layers.aspp import ASPP
from keras_segattn.layers.attention_fusion import AttentionFusion
from keras_segattn.layers.ccbam import CCBAM
from keras_segattn.layers.channel_gate import ChannelGate
from keras_segattn.layers.channel_shuffle import ChannelShuffle
from keras_segattn.layers.conv_norm_act import ConvNormAct
from keras_segattn.layers.criss_cross_attention import CrissCrossAttention
from keras_segattn.layers.deconv_norm_act import DeconvNormAct
from keras_segattn.layers.depthwise_conv_norm_act import DepthwiseConvNormAct
from keras_segattn.layers.expectation_maximization_attention import (
    ExpectationMaximizationAttention,
)
from keras_segattn.layers.fcn_head import FCNHead
from keras_segattn.layers.feature_cross_attention import FeatureCrossAttention
from keras_segattn.layers.non_local import NonLocal
from keras_segattn.layers.pyramid_pooling import PyramidPooling
from keras_segattn.layers.resize_like import ResizeLike
from keras_segattn.layers.se_aspp import SEASPP
from keras_segattn.layers.spatial_gate import SpatialGate
from keras_segattn.layers.stdc_block import STDCBlock
from keras_segattn.layers.strip_attention import StripAttention

__all__ = [
    "ASPP",
    "CCBAM",
    "SEASPP",
    "AttentionFusion",
    "ChannelGate",
    "ChannelShuffle",
    "ConvNormAct",
    "CrissCrossAttention",
    "DeconvNormAct",
    "DepthwiseConvNormAct",
    "ExpectationMaximizationAttention",
    "FCNHead",
    "FeatureCrossAttention",
    "NonLocal",
    "PyramidPooling",
    "ResizeLike",
    "STDCBlock",
    "SpatialGate",
    "StripAttention",
]
