"""nn.Conv2d and nn.ConvTranspose2d with the same parameters and the same results, faster on a CPU.

oneDNN, which computes them there, works at the pace of a large matrix product where the channels of a pixel lie side by
side in memory ("channels last"). It does not in three places, each of which is written otherwise here:

    images of one channel    have both layouts at once, so it falls back to the slower; a copy is unmistakable
    bias of a transposed     its gradient takes longer than a plain sum of the output's
    few output channels      a transposed convolution to 1 channel takes as long as one to 16: the matrix product of
                             all pixels and all weights, whose columns are then added up where they overlap, does not

Measured in docs/speed.md. On other devices both are the ordinary layers.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

FEW = 4  # output channels up to which the matrix product wins


def channels_last(x: Tensor) -> Tensor:
    """The same values (B, C, H, W), those of a pixel side by side."""
    pixels = x.permute(0, 2, 3, 1)
    single = x.shape[1] == 1
    return (pixels.clone(memory_format=torch.contiguous_format) if single else pixels.contiguous()).permute(0, 3, 1, 2)


class Conv2d(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(channels_last(x) if x.device.type == "cpu" else x)


class ConvTranspose2d(nn.ConvTranspose2d):
    """Without groups, dilation and `output_size`."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        if x.device.type != "cpu":
            return super().forward(x)
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):  # it does not see into a Function
            dtype = torch.get_autocast_dtype("cpu")
            x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        y: Tensor = Transposed.apply(channels_last(x), weight, bias, self.stride, self.padding, self.output_padding)
        return y


class Transposed(torch.autograd.Function):
    """A transposed convolution. Its gradients are those of the convolution that it transposes, with the roles changed.

    What it maps that convolution gives back as a gradient: x is its output's gradient, and the output's is its input.
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
        of_x, of_weight, of_bias, *_ = ctx.needs_input_grad
        geometry = ctx.stride, ctx.padding
        return (
            F.conv2d(gradient, weight, None, *geometry) if of_x else None,
            conv2d_weight(gradient, weight.shape, x, *geometry) if of_weight else None,
            gradient.sum((0, 2, 3)) if of_bias else None,
            None,
            None,
            None,
        )
