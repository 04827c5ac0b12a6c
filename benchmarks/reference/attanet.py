"""AttaNet's light network in plain PyTorch, channels first, as in the authors' code."""

import torch
from torch import nn
from torch.nn import functional

from keras_segattn.backbones.light import CONVOLUTIONS


def conv_norm_relu(channels, filters, kernel_size=3, stride=1):
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel_size, stride, kernel_size // 2, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(inplace=True),
    )


class StripAttentionReference(nn.Module):
    def __init__(self, channels, keys):
        super().__init__()
        self.query = conv_norm_relu(channels, keys, 1)
        self.key = conv_norm_relu(channels, keys, 1)
        self.value = conv_norm_relu(channels, channels, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        query = self.query(x).view(b, -1, h * w).transpose(1, 2)
        key, value = self.key(x).mean(dim=2), self.value(x).mean(dim=2)
        scores = torch.bmm(query, key).softmax(dim=2)
        return x + torch.bmm(value, scores.transpose(1, 2)).view(b, c, h, w)


class LightFusionReference(nn.Module):
    def __init__(self, low_channels, high_channels, filters):
        super().__init__()
        self.reduce_low = conv_norm_relu(low_channels, filters)
        self.reduce_high = conv_norm_relu(high_channels, filters)
        self.project_low = conv_norm_relu(filters, filters)
        self.project_high = conv_norm_relu(filters, filters)
        self.mix = conv_norm_relu(2 * filters, filters)
        self.weigh = nn.Sequential(
            nn.Conv2d(filters, filters, 1, bias=False), nn.BatchNorm2d(filters), nn.Sigmoid()
        )

    def forward(self, low, high):
        low, high = self.reduce_low(low), self.reduce_high(high)
        mixed = self.mix(torch.cat([low, functional.interpolate(high, low.shape[2:])], dim=1))
        alpha = self.weigh(mixed.mean(dim=(2, 3), keepdim=True))
        high = functional.interpolate(alpha * self.project_high(high), low.shape[2:])
        return high + (1 - alpha) * self.project_low(low)


class AttaNetLightReference(nn.Module):
    """(batch, 3, height, width) to logits (batch, classes, height, width)."""

    def __init__(self, classes, filters=64):
        super().__init__()
        self.backbone, channels = nn.ModuleDict(), 3
        for name, outputs, kernel_size, stride, _ in CONVOLUTIONS:
            self.backbone[name] = conv_norm_relu(channels, outputs, kernel_size, stride)
            channels = outputs
        self.fusion = LightFusionReference(64, 128, filters)
        self.decoder1 = conv_norm_relu(filters, filters)
        self.attention = StripAttentionReference(filters, filters)
        self.decoder2 = conv_norm_relu(filters, filters)
        self.head = nn.Sequential(
            conv_norm_relu(filters, filters), nn.Conv2d(filters, classes, 1, bias=False)
        )

    def forward(self, image):
        levels, x = {}, image
        for name, *_, level in CONVOLUTIONS:
            x = levels[level] = self.backbone[name](x)
        x = self.decoder1(self.fusion(levels["P3"], levels["P4"]))
        x = self.head(self.decoder2(self.attention(x)))
        return functional.interpolate(x, image.shape[2:], mode="bilinear", align_corners=True)
