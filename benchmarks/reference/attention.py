"""Criss-cross attention and the non-local block in plain PyTorch, written from the equations.

Channels come first, as usual in PyTorch. `CrissCrossReference` uses batched matrix products, which
are faster than `einsum` in PyTorch and ONNX Runtime.
"""

import torch
from torch import nn


class CrissCrossReference(nn.Module):
    """CCNet, equations 1 and 2, `recurrence` times: (batch, channels, height, width)."""

    def __init__(self, channels, recurrence=2, reduction=8):
        super().__init__()
        self.recurrence = recurrence
        self.query = nn.Conv2d(channels, channels // reduction, 1)
        self.key = nn.Conv2d(channels, channels // reduction, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        for _ in range(self.recurrence):
            x = self.loop(x)
        return x

    def loop(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
        b, c, h, w = x.shape
        columns = [t.permute(0, 3, 1, 2).reshape(b * w, -1, h) for t in (q, k, v)]
        rows = [t.permute(0, 2, 1, 3).reshape(b * h, -1, w) for t in (q, k, v)]
        index = torch.arange(h, device=x.device)
        itself = index[:, None] == index[None, :]
        column = torch.bmm(columns[0].transpose(1, 2), columns[1])
        column = column.masked_fill(itself, torch.finfo(column.dtype).min)
        row = torch.bmm(rows[0].transpose(1, 2), rows[1])
        energy = torch.cat([column.view(b, w, h, h).transpose(1, 2), row.view(b, h, w, w)], dim=3)
        scores = energy.softmax(dim=3)
        column = scores[..., :h].transpose(1, 2).reshape(b * w, h, h)
        row = scores[..., h:].reshape(b * h, w, w)
        column = torch.bmm(columns[2], column.transpose(1, 2)).view(b, w, c, h)
        row = torch.bmm(rows[2], row.transpose(1, 2)).view(b, h, c, w)
        return x + self.gamma * (column.permute(0, 2, 3, 1) + row.permute(0, 2, 1, 3))


class NonLocalReference(nn.Module):
    """The block counted in CCNet's Table 5: position attention with `channels // 8` keys."""

    def __init__(self, channels, reduction=8):
        super().__init__()
        self.query = nn.Conv2d(channels, channels // reduction, 1)
        self.key = nn.Conv2d(channels, channels // reduction, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = (f(x).reshape(b, -1, h * w) for f in (self.query, self.key, self.value))
        scores = torch.bmm(q.transpose(1, 2), k).softmax(dim=2)
        return x + self.gamma * torch.bmm(v, scores.transpose(1, 2)).view(b, c, h, w)
