"""Backbones: models whose outputs are `{"P2", "P3", "P4", "P5"}` at strides 4, 8, 16 and 32."""

from keras_segattn.backbones.df import DF1, DF2
from keras_segattn.backbones.efficientnet_lite import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
)
from keras_segattn.backbones.light import LightBackbone
from keras_segattn.backbones.mobilenet_v2 import MobileNetV2
from keras_segattn.backbones.pyramid import feature_pyramid
from keras_segattn.backbones.registry import build_backbone
from keras_segattn.backbones.resnet import ResNet18, ResNet50, ResNet101
from keras_segattn.backbones.shufflenet_v2 import ShuffleNetV2
from keras_segattn.backbones.stdc import STDC1, STDC2

__all__ = [
    "DF1",
    "DF2",
    "STDC1",
    "STDC2",
    "EfficientNetLite0",
    "EfficientNetLite1",
    "EfficientNetLite2",
    "LightBackbone",
    "MobileNetV2",
    "ResNet18",
    "ResNet50",
    "ResNet101",
    "ShuffleNetV2",
    "build_backbone",
    "feature_pyramid",
]
