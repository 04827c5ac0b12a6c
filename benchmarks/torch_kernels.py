"""Faster kernels for Keras's layers on the PyTorch backend, which a CUDA graph can also capture."""

import keras
import numpy as np
import torch
import torch.nn.functional as F
from keras.src.backend.torch import nn

from keras_segattn.layers.resize_like import _bilinear_matrix


def use_torch_kernels():
    """Replaces what Keras computes in many kernels, or copies between memory layouts."""
    keras.layers.BatchNormalization.call = fused_batch_norm
    keras.layers.Dropout.call = dropout
    keras.layers.SpatialDropout2D.call = spatial_dropout
    on_gpu = torch.cuda.is_available()
    faster = undilated if on_gpu else with_float32_gradients
    keras.layers.DepthwiseConv2D.call = faster(keras.layers.DepthwiseConv2D.call)
    # Keras's convolutions copy maps to channels first, and then back to channels last.
    nn._transpose_spatial_inputs = lambda maps: maps.permute(0, 3, 1, 2)
    if on_gpu:
        torch.as_tensor = constants_on_device(torch.as_tensor)
        torch.tensor = constants_on_device(torch.tensor)


def fused_batch_norm(self, inputs, training=None, mask=None):
    """`BatchNormalization.call` for maps with torch's kernel; only the running variance differs.

    Torch's running variance is unbiased: larger by the factor n / (n - 1) for n pixels in a batch.
    """
    y = F.batch_norm(
        inputs.permute(0, 3, 1, 2),
        self.moving_mean.value,
        self.moving_variance.value,
        self.gamma.value,
        self.beta.value,
        bool(training and self.trainable),
        1 - self.momentum,
        self.epsilon,
    )
    return y.permute(0, 2, 3, 1)


def dropout(self, inputs, training=False):
    """`Dropout.call` with torch's generator: Keras reads its seeds on the host."""
    return F.dropout(inputs, self.rate, bool(training))


def spatial_dropout(self, inputs, training=False):
    maps = F.dropout2d(inputs.permute(0, 3, 1, 2), self.rate, bool(training))
    return maps.permute(0, 2, 3, 1)


def undilated(call):
    """Returns `DepthwiseConv2D.call` that convolves each of the grids of a dilation on its own.

    cuDNN is several times slower with dilation.
    """

    def undilated_call(self, inputs):
        step = self.dilation_rate[0]
        if step == 1:
            return call(self, inputs)
        batch, height, width, channels = inputs.shape
        rows, columns = -(-height // step), -(-width // step)
        x = F.pad(inputs, (0, 0, 0, columns * step - width, 0, rows * step - height))
        x = x.reshape(batch, rows, step, columns, step, channels).permute(0, 2, 4, 5, 1, 3)
        x = x.reshape(-1, channels, rows, columns).contiguous(memory_format=torch.channels_last)
        kernel = self.kernel.value.to(x.dtype).permute(2, 3, 0, 1)
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        y = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2, groups=channels)
        y = y.reshape(batch, step, step, channels, rows, columns).permute(0, 4, 1, 5, 2, 3)
        return y.reshape(batch, rows * step, columns * step, channels)[:, :height, :width]

    return undilated_call


def with_float32_gradients(call):
    """Returns `DepthwiseConv2D.call` whose slow gradients in bfloat16 are computed in float32.

    On a processor, gradients of strides and of kernels above 3x3 are two to ten times slower in
    bfloat16.
    """

    def call_with_float32_gradients(self, inputs):
        padding = (0, 0) if self.padding == "valid" else tuple(n // 2 for n in self.kernel_size)
        symmetric = max(self.strides) == 1 and all(n % 2 for n in self.kernel_size)
        plain = self.activation is keras.activations.linear and not self.use_bias
        if not (plain and (self.padding == "valid" or symmetric)) or max(self.dilation_rate) > 1:
            return call(self, inputs)
        x = inputs.permute(0, 3, 1, 2)
        kernel = self.kernel.value.to(x.dtype).permute(2, 3, 0, 1)
        return DepthwiseConv.apply(x, kernel, self.strides, padding).permute(0, 2, 3, 1)

    return call_with_float32_gradients


class DepthwiseConv(torch.autograd.Function):
    """Depthwise convolution of maps `(batch, channels, height, width)`, for training."""

    @staticmethod
    def forward(context, x, kernel, strides, padding):
        context.save_for_backward(x, kernel)
        context.strides, context.padding = strides, padding
        return F.conv2d(x, kernel, None, strides, padding, groups=len(kernel))

    @staticmethod
    def backward(context, gradient):
        x, kernel = context.saved_tensors
        tensors = [gradient, x, kernel]
        if max(context.strides) > 1 or max(kernel.shape[2:]) > 3:
            tensors = [tensor.float() for tensor in tensors]
        of_x, of_kernel, _ = torch.ops.aten.convolution_backward(
            *tensors,
            None,
            context.strides,
            context.padding,
            (1, 1),
            False,
            (0, 0),
            len(kernel),
            (*context.needs_input_grad[:2], False),
        )
        gradients = [
            None if each is None else each.to(tensor.dtype)
            for each, tensor in ((of_x, x), (of_kernel, kernel))
        ]
        return (*gradients, None, None)


def bilinear_by_matrices(x, source, target, align_corners):
    """Resizes with `ResizeLike`'s matrices: torch's gradient of `interpolate` is slow."""
    rows, columns = (
        _bilinear_matrix(source[axis], target[axis], align_corners) for axis in range(2)
    )
    y = torch.matmul(columns, x).reshape(len(x), source[0], -1)
    return torch.matmul(rows, y).reshape(len(x), *target, -1)


def constants_on_device(convert):
    """Returns `torch.tensor` or `as_tensor` that copies each constant to the GPU only once.

    A graph being captured cannot copy from the host's memory.
    """
    cache = {}

    def convert_once(values, *arguments, **options):
        on_gpu = torch.device(options.get("device") or "cpu").type == "cuda"
        if isinstance(values, torch.Tensor) or not on_gpu:
            return convert(values, *arguments, **options)
        content = values.tobytes() if isinstance(values, np.ndarray) else repr(values)
        key = (content, np.shape(values), arguments, str(options))
        if key not in cache:
            cache[key] = convert(values, *arguments, **options)
        return cache[key].clone()

    return convert_once
