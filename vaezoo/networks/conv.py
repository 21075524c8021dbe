"""Convolutional encoders and decoders with 4x4 kernels, stride 2 and padding 1: a layer halves or doubles the sides.

In `conf/network`, `convh.yaml` is the network of Higgins et al. (2017), which most later comparisons use,
`convh128.yaml` its smaller version of Kim & Mnih (2018), `convb.yaml` the network of Burgess et al. (2018), and
`convj32.yaml` the network of JointVAE (Dupont, 2018) for 32x32 images.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vaezoo.networks.fast_convolutions import Conv2d, ConvTranspose2d
from vaezoo.networks.mlp import append_condition, mlp
from vaezoo.ranges import Sizes


def bottom_shape(image_shape: Sequence[int], channels: int, layers: int) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of the smallest feature map, after `layers` halvings of the sides.

    Raises ValueError where a side is not divisible by 2 to the power of `layers`.
    """
    _, height, width = image_shape
    factor = 2**layers
    if height % factor or width % factor:
        raise ValueError(f"{layers} halving layers need image sides divisible by {factor}, got {height}x{width}")
    return channels, height // factor, width // factor


class ConvEncoder(nn.Module):
    """Convolutions with `channels` filters, then fully connected layers of `hidden` units, with ReLU between layers.

    With a `condition` as many numbers u (B, condition) are appended to the features after the convolutions.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_params: int,
        *,
        channels: Sizes,
        hidden: Sizes,
        condition: int = 0,
    ) -> None:
        super().__init__()
        bottom = bottom_shape(image_shape, channels[-1], len(channels))
        layers: list[nn.Module] = []
        for inputs, outputs in zip([image_shape[0], *channels[:-1]], channels, strict=True):
            layers += [Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.dense = mlp([math.prod(bottom) + condition, *hidden, num_params], "relu")

    def forward(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        return self.dense(append_condition(self.convolutions(x).flatten(1), u))


class ConvDecoder(nn.Module):
    """Fully connected layers of `hidden` units and one to the smallest feature map, then transposed convolutions.

    `channels` are those of the feature maps, beginning with the smallest; the last convolution has the channels of the
    image.
    """

    def __init__(self, latent_dim: int, image_shape: Sequence[int], *, hidden: Sizes, channels: Sizes) -> None:
        super().__init__()
        self.bottom = bottom_shape(image_shape, channels[0], len(channels))
        self.dense = nn.Sequential(mlp([latent_dim, *hidden, math.prod(self.bottom)], "relu"), nn.ReLU())
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
        layers.append(ConvTranspose2d(channels[-1], image_shape[0], 4, stride=2, padding=1))
        self.convolutions = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.convolutions(self.dense(z).unflatten(1, self.bottom))
