"""Generators of adversarial models, from latents to the logits of images.

They have the conventions of `vaezoo.networks.layers`. A published tanh at the end is the likelihood's sigmoid up to the
scale of the last layer, because 2 sigmoid(l) - 1 = tanh(l / 2).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from vaezoo.networks.fast_convolutions import Conv2d, ConvTranspose2d
from vaezoo.networks.layers import bottom_sides, initialise
from vaezoo.ranges import Convolutions, Count, NonNegative, Positive, Sizes


class PixelBias(nn.Module):
    """A bias for each pixel and channel (C, H, W), as in ALI (Dumoulin et al., 2017)."""

    def __init__(self, image_shape: Sequence[int]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(tuple(image_shape)))

    def forward(self, images: Tensor) -> Tensor:
        return images + self.bias

    @torch.no_grad()
    def begin_at(self, mean: Tensor) -> None:
        """Set the bias to the log-odds of the mean image (C, H, W) in [0, 1], where training begins.

        Pixels that are always 0 or 1 count as half a grey level of 255 away from it, because their log-odds are not
        finite.
        """
        self.bias.copy_(mean.logit(eps=0.5 / 255))


class Generator(nn.Sequential):
    """A network from latents (B, J) to logits (B, C, H, W) by convolutions that enlarge feature maps.

    Layers of `hidden` units are followed by one to the smallest feature map, which has `bottom` channels, and by the
    convolutions. Each layer has batch normalisation and an activation, except the convolution `last` [kernel, stride],
    which has the channels of the image. The smallest map is normalised number by number with `flat_norm`, otherwise
    channel by channel. Without `bottom` the latents themselves are the channels of a 1x1 map.

    `convolutions` are [filters, kernel, stride] each. Those that are `padded` multiply the sides by their strides;
    without padding they enlarge a 1x1 map to the image. Layers have a `bias` before batch normalisation or not. With
    `pixel_bias` the last bias is one number for each pixel. `slope` is that of LeakyReLU for negative inputs; 0 is
    ReLU. Initial weights are drawn from N(0, `std`), or as PyTorch does it without `std`. Initial scales of batch
    normalisation are drawn from N(1, `bn_std`).
    """

    requires = {"dataset.batch_size > 1": "at least 2 images in a batch for its batch normalisation"}

    def __init__(
        self,
        latent_dim: int,
        image_shape: Sequence[int],
        *,
        convolutions: Convolutions,
        last: Sizes,
        hidden: Sizes = (),
        bottom: Count | None = None,
        flat_norm: bool = True,
        padded: bool = True,
        bias: bool = True,
        pixel_bias: bool = False,
        slope: NonNegative = 0.0,
        std: Positive | None = None,
        bn_std: NonNegative = 0.0,
    ) -> None:
        super().__init__(*dense_layers([latent_dim, *hidden], batch_norm=True, bias=bias, slope=slope))
        inputs = [latent_dim, *hidden][-1]
        downwards = [[image_shape[0], *last], *reversed(convolutions)]
        shape = (bottom or inputs, *bottom_sides(image_shape, downwards, padded))
        if bottom is not None:
            size, to_maps = math.prod(shape), nn.Unflatten(1, shape)
            self.append(nn.Linear(inputs, size, bias=bias))
            self.extend([nn.BatchNorm1d(size), to_maps] if flat_norm else [to_maps, nn.BatchNorm2d(bottom)])
            self.append(nn.LeakyReLU(slope))
        else:
            self.append(nn.Unflatten(1, shape))
        channels = shape[0]
        for filters, kernel, stride in convolutions:
            self.append(enlarging_convolution(channels, filters, kernel, stride, padded=padded, bias=bias))
            self.extend([nn.BatchNorm2d(filters), nn.LeakyReLU(slope)])
            channels = filters
        self.append(enlarging_convolution(channels, image_shape[0], *last, padded=padded, bias=not pixel_bias))
        if pixel_bias:
            self.append(PixelBias(image_shape))
        initialise(self, std, bn_std)


class DenseGenerator(nn.Sequential):
    """A network from latents (B, J) to logits (B, C, H, W) of any size, by fully connected layers of `hidden` units.

    Layers have batch normalisation with `batch_norm`, which has a scale and a shift if it is `affine`. They have a
    `bias` before it or not. `slope` is that of LeakyReLU for negative inputs; 0 is ReLU. Initial weights are drawn from
    N(0, `std`), or as PyTorch does it without `std`. Initial scales of batch normalisation are drawn from N(1,
    `bn_std`).
    """

    requires = {"dataset.batch_size > 1 or not batch_norm": "at least 2 images in a batch for its batch normalisation"}

    def __init__(
        self,
        latent_dim: int,
        image_shape: Sequence[int],
        *,
        hidden: Sizes,
        batch_norm: bool = True,
        bias: bool = True,
        affine: bool = True,
        slope: NonNegative = 0.0,
        std: Positive | None = None,
        bn_std: NonNegative = 0.0,
    ) -> None:
        super().__init__(
            *dense_layers([latent_dim, *hidden], batch_norm=batch_norm, bias=bias, affine=affine, slope=slope),
            nn.Linear(hidden[-1], math.prod(image_shape)),
            nn.Unflatten(1, tuple(image_shape)),
        )
        initialise(self, std, bn_std)


def dense_layers(
    sizes: Sequence[int], *, batch_norm: bool, bias: bool, slope: float, affine: bool = True
) -> list[nn.Module]:
    """Return linear layers sizes[0] -> ... -> sizes[-1], each with its activation and optional batch normalisation.

    A `bias` of False leaves out the biases before batch normalisation.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers.append(nn.Linear(inputs, outputs, bias=bias or not batch_norm))
        layers += [nn.BatchNorm1d(outputs, affine=affine)] if batch_norm else []
        layers.append(nn.LeakyReLU(slope))
    return layers


def enlarging_convolution(
    inputs: int, outputs: int, kernel: int, stride: int, *, padded: bool, bias: bool
) -> nn.Module:
    """Return a convolution that multiplies the sides of a map by its stride if it is `padded`.

    At stride 1 it is an ordinary convolution, because a transposed one would be the same with its kernel mirrored.
    """
    if not padded:
        return ConvTranspose2d(inputs, outputs, kernel, stride, bias=bias)
    padding = (kernel - 1) // 2
    if stride == 1:
        return Conv2d(inputs, outputs, kernel, padding=padding, bias=bias)
    more = stride - kernel + 2 * padding
    return ConvTranspose2d(inputs, outputs, kernel, stride, padding, output_padding=more, bias=bias)
