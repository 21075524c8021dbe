"""PixelCNN (van den Oord et al., 2016): an image as a chain of pixels, each given those before it in reading order.

Convolutions are masked: those of type A see the pixels before their own, those of type B their own place, too, which by
then holds nothing of its pixel. The channels of a pixel are independent of each other given the pixels before.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaezoo.ranges import Count, Natural, Odd


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees the places before its own in reading order and, where `own`, that one too."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, *, own: bool) -> None:
        if kernel % 2 == 0:
            raise ValueError(f"a masked convolution has a middle, so an odd kernel, got {kernel}")
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        before = torch.arange(kernel**2) < kernel**2 // 2 + own
        self.register_buffer("mask", before.view(kernel, kernel).to(self.weight.dtype), persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        return F.conv2d(h, self.weight * self.mask, self.bias, padding=self.padding)


class PixelCNN(nn.Module):
    """Images (B, C, H, W) and codes (B, `latent_dim`) to the logits of each pixel given those before: (B, C, H, W).

    A first convolution of type A, residual `blocks` of type B, one last 1x1; the code adds a bias to each. What a pixel
    knows of the image reaches `above` rows up: the less it sees, the more has to come from the code.
    """

    def __init__(
        self, latent_dim: int, image_shape: Sequence[int], *, maps: Count, blocks: Natural, first: Odd, kernel: Odd
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.above = first // 2 + blocks * (kernel // 2)
        channels = self.image_shape[0]
        self.first = MaskedConv2d(channels, maps, first, own=False)
        self.blocks = nn.ModuleList(MaskedConv2d(maps, maps, kernel, own=True) for _ in range(blocks))
        self.codes = nn.ModuleList(nn.Linear(latent_dim, maps, bias=False) for _ in range(blocks + 1))
        self.last = nn.Conv2d(maps, channels, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        first, *biases = (code(y)[:, :, None, None] for code in self.codes)
        h = self.first(x) + first
        for block, bias in zip(self.blocks, biases, strict=True):
            h = h + block(h.relu()) + bias
        return self.last(h.relu())

    @torch.no_grad()
    def sample(self, y: Tensor) -> Tensor:
        """Binary images drawn pixel by pixel, as many passes as there are pixels: (B, C, H, W)."""
        _, height, width = self.image_shape
        x = torch.zeros(len(y), *self.image_shape, dtype=y.dtype, device=y.device)
        for row in range(height):
            seen = slice(max(0, row - self.above), row + 1)  # the rows that this one depends on
            for column in range(width):
                logits = self(x[:, :, seen], y)[:, :, -1, column]
                x[:, :, row, column] = torch.bernoulli(logits.float().sigmoid()).to(x)
        return x
