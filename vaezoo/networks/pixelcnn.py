"""PixelCNN (van den Oord et al., 2016): the distribution of each pixel given the pixels before it in reading order.

Its convolutions are masked. Those of type A use the places before their own; those of type B also their own place,
which after a convolution of type A has no information about its own pixel. The channels of a pixel are independent of
each other given the pixels before.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaezoo.ranges import Count, Natural, Odd


class MaskedConv2d(nn.Conv2d):
    """A convolution that uses the places before its own in reading order and, with `own`, also its own place."""

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
    """A network from images (B, C, H, W) and codes (B, `latent_dim`) to the logits of each pixel given those before.

    It has a convolution of type A with a kernel of side `first`, residual `blocks` of type B with kernels of side
    `kernel`, and a last 1x1 convolution, with `maps` channels between them; the code adds a bias to each but the last.
    A pixel depends on at most `above` rows above its own; the fewer these are, the more information the code must have.
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
        """Draw binary images (B, C, H, W) for codes y (B, J) pixel by pixel, in as many passes as there are pixels."""
        _, height, width = self.image_shape
        x = torch.zeros(len(y), *self.image_shape, dtype=y.dtype, device=y.device)
        for row in range(height):
            window = slice(max(0, row - self.above), row + 1)  # the rows on which this row depends
            for column in range(width):
                logits = self(x[:, :, window], y)[:, :, -1, column]
                x[:, :, row, column] = torch.bernoulli(logits.float().sigmoid()).to(x)
        return x
