"""Replacements of nn.Conv2d and nn.ConvTranspose2d with the same parameters and results that are faster on a CPU.

oneDNN, which computes convolutions on a CPU, is as fast as a large matrix product where the channels of a pixel are
adjacent in memory ("channels last"). There are three exceptions, which this file avoids:

    images with one channel    are in both layouts at once, and oneDNN takes the slower one, so they are copied
    bias of a transposed one   oneDNN computes its gradient more slowly than a sum over the output's gradient
    few output channels        a transposed convolution to 1 channel takes as long as one to 16, so it is computed as
                               the matrix product of pixels and weights, whose columns are added where they overlap

docs/speed.md has the measurements. On other devices both are the ordinary layers.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

FEW = 4  # Up to this number of output channels the matrix product is faster.


def channels_last(x: Tensor) -> Tensor:
    """Return the same values (B, C, H, W) with the channels of a pixel adjacent in memory."""
    pixels = x.permute(0, 2, 3, 1)
    single = x.shape[1] == 1
    return (pixels.clone(memory_format=torch.contiguous_format) if single else pixels.contiguous()).permute(0, 3, 1, 2)


class Conv2d(nn.Conv2d):
    """A convolution that is fast on a CPU also for images with one channel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(channels_last(x) if x.device.type == "cpu" else x)


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution, without groups, dilation and `output_size`."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        if x.device.type != "cpu":
            return super().forward(x)
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):  # Autocast does not convert the inputs of a Function.
            dtype = torch.get_autocast_dtype("cpu")
            x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        y: Tensor = Transposed.apply(channels_last(x), weight, bias, self.stride, self.padding, self.output_padding)
        return y


class Transposed(torch.autograd.Function):
    """A transposed convolution, which is the gradient of a convolution with respect to its input.

    So its own gradient with respect to x is that convolution, applied to the gradient of the output. The gradient with
    respect to the weight is that of the convolution, whose input is the gradient of the output and whose output's
    gradient is x.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, more: Any) -> Tensor:
        if weight.shape[1] > FEW:
            return F.conv_transpose2d(x, weight, bias, stride, padding, more)
        kernel = tuple(weight.shape[2:])
        sides = tuple((x.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + kernel[i] + more[i] for i in (0, 1))
        columns = weight.flatten(1).T @ x.flatten(2)  # (B, outputs x kernel, pixels)
        y = F.fold(columns, sides, kernel, padding=padding, stride=stride)
        return y if bias is None else y + bias[:, None, None]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        x, weight, _, ctx.stride, ctx.padding, _ = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        gradient = channels_last(gradient)
        needs_x, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        geometry = ctx.stride, ctx.padding
        return (
            F.conv2d(gradient, weight, None, *geometry) if needs_x else None,
            conv2d_weight(gradient, weight.shape, x, *geometry) if needs_weight else None,
            gradient.sum((0, 2, 3)) if needs_bias else None,
            None,
            None,
            None,
        )
