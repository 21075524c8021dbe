"""Encoders, generators and critics of adversarial models, described layer by layer in `conf/network`.

A convolution is written [filters, kernel, stride]. `padded` ones change the sides of an image by their stride alone;
the others shrink it to 1x1, which only one size of image does. Layers are numbered from 1, convolutions first.

Generators and critics give logits, nothing ends in a sigmoid or a tanh: since 2 sigmoid(l) - 1 = tanh(l / 2), a
published tanh is the likelihood's sigmoid up to the scale of the last layer. Images come in [0, 1]; a network whose
paper has them in [-1, 1] is `centred`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from vaezoo.networks.convolutions import Conv2d, ConvTranspose2d
from vaezoo.networks.mlp import with_condition
from vaezoo.networks.whole_batch import Dropout

Convolutions = Sequence[Sequence[int]]  # [filters, kernel, stride] each


def initialise(module: nn.Module, std: float | None, bn_std: float = 0.0) -> None:
    """Weights N(0, std), biases 0, scales of batch normalisation N(1, bn_std); without a std all stay torch's own."""
    if std is None:
        return
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, bn_std)


def bottom_sides(image_shape: Sequence[int], convolutions: Convolutions, padded: bool) -> tuple[int, int]:
    """Height and width of the smallest feature map, refused when the image does not shrink to one."""
    _, height, width = image_shape
    if padded:
        factor = math.prod(stride for _, _, stride in convolutions)
        if height % factor or width % factor:
            raise ValueError(f"this network needs image sides divisible by {factor}, got {height}x{width}")
        return height // factor, width // factor
    side = 1
    for _, kernel, stride in reversed(convolutions):
        side = (side - 1) * stride + kernel
    if (height, width) != (side, side):
        raise ValueError(f"this network takes {side}x{side} images alone, got {height}x{width}")
    return 1, 1


class Maxout(nn.Module):
    """The larger of each two neighbouring channels (Goodfellow et al., 2013): half of them come out."""

    def forward(self, h: Tensor) -> Tensor:
        return h.unflatten(1, (-1, 2)).amax(2)


class Layer(nn.Module):
    """A linear map to which a linear map of codes (B, `condition`) may be added; normalisation, activation, dropout.

    Adding W u to the linear map of h is the linear map of h and u concatenated.
    """

    def __init__(
        self,
        linear: nn.Linear | nn.Conv2d,
        *,
        normed: bool,
        condition: int = 0,
        affine: bool = True,
        slope: float = 0.2,
        maxout: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        outputs = linear.out_features if isinstance(linear, nn.Linear) else linear.out_channels
        norm = nn.BatchNorm1d if isinstance(linear, nn.Linear) else nn.BatchNorm2d
        self.outputs = outputs // 2 if maxout else outputs
        self.linear = linear
        self.codes = nn.Linear(condition, outputs, bias=False) if condition else None
        self.activation = nn.Sequential(
            norm(outputs, affine=affine) if normed else nn.Identity(), Maxout() if maxout else nn.LeakyReLU(slope)
        )
        self.dropout = Dropout(dropout) if dropout else nn.Identity()

    def raw(self, h: Tensor, u: Tensor | None = None) -> Tensor:
        """What the linear map gives, before normalisation."""
        h = self.linear(h.flatten(1) if isinstance(self.linear, nn.Linear) else h)
        return h if u is None or self.codes is None else h + self.codes(u)

    def forward(self, h: Tensor, u: Tensor | None = None) -> Tensor:
        return self.dropout(self.activation(self.raw(h, u)))


class Critic(nn.Module):
    """Images (B, C, H, W), with codes (B, `condition`) where it judges pairs, to `outputs` logits each.

    Convolutions, then fully connected layers of `hidden` units; those that are `normed` have batch normalisation, with
    or without a bias before it. Codes pass through layers of `code_hidden` units and join the fully connected layers of
    the numbers `joins`, by default the first, or where there is none the flattened maps. `style` is that of all layers:
    slope, maxout, affine, dropout.
    """

    layers: Sequence[Layer]

    def __init__(
        self,
        image_shape: Sequence[int],
        condition: int = 0,
        outputs: int = 1,
        *,
        convolutions: Convolutions = (),
        hidden: Sequence[int] = (),
        code_hidden: Sequence[int] = (),
        normed: Sequence[int] = (),
        joins: Sequence[int] | None = None,
        features: int = 1,
        padded: bool = True,
        bias: bool = True,
        centred: bool = False,
        input_dropout: float = 0.0,
        std: float | None = None,
        bn_std: float = 0.0,
        **style: Any,
    ) -> None:
        super().__init__()
        self.condition, self.compared, self.centred = condition, features, centred
        self.input_dropout = Dropout(input_dropout) if input_dropout else nn.Identity()
        code_layers: list[Layer] = []
        for units in code_hidden if condition else ():
            code_layers.append(Layer(nn.Linear(condition, units), normed=False, **style))
            condition = code_layers[-1].outputs
        self.code_layers = nn.Sequential(*code_layers)

        layers: list[Layer] = []
        inputs, sides = image_shape[0], bottom_sides(image_shape, convolutions, padded)
        for number, (filters, kernel, stride) in enumerate(convolutions, start=1):
            padding, with_bias = (kernel - 1) // 2 if padded else 0, bias or number not in normed
            convolution = Conv2d(inputs, filters, kernel, stride, padding, bias=with_bias)
            layers.append(Layer(convolution, normed=number in normed, **style))
            inputs = layers[-1].outputs
        inputs, first = inputs * math.prod(sides), len(layers) + 1
        joins = joins or [first]
        if hidden and not set(joins) <= set(range(first, first + len(hidden))):
            raise ValueError(f"joins={list(joins)}: codes join fully connected layers, whose numbers begin at {first}")
        for number, units in enumerate(hidden, start=first):
            joined = condition if number in joins else 0
            linear = nn.Linear(inputs, units, bias=bias or number not in normed)
            layers.append(Layer(linear, normed=number in normed, condition=joined, **style))
            inputs = layers[-1].outputs
        self.layers = nn.ModuleList(layers)  # type: ignore[assignment]
        self.joins_layers = len(hidden) > 0
        self.num_hidden = inputs if hidden else inputs + condition
        self.head = nn.Linear(self.num_hidden, outputs)
        initialise(self, std, bn_std)

    def images(self, x: Tensor) -> Tensor:
        """The images in the range that the network takes."""
        return 2 * x - 1 if self.centred else x

    def features(self, x: Tensor) -> Tensor:
        """What a feature-wise likelihood compares: layer `features` before its normalisation, flattened, (B, F).

        Neither codes nor dropout: with dropout an image would differ from itself.
        """
        h = self.images(x)
        for layer in self.layers[: self.compared - 1]:
            h = layer.activation(layer.raw(h))
        return self.layers[self.compared - 1].raw(h).flatten(1)

    def hidden(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        """The last hidden layer, (B, num_hidden), on which further heads can stand."""
        given = 0 if u is None else u.shape[1]
        if given != self.condition:
            raise ValueError(f"this network takes {self.condition} numbers beside each image, got {given}")
        h = self.input_dropout(self.images(x))
        if u is not None:
            u = self.code_layers(self.input_dropout(u))
        for layer in self.layers:
            h = layer(h, u)
        return h if self.joins_layers else with_condition(h.flatten(1), u)

    def forward(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        return self.head(self.hidden(x, u))


class Encoder(Critic):
    """The same layers for inference: images (B, C, H, W) to `num_params` numbers each, all heads in one layer."""

    def __init__(self, image_shape: Sequence[int], num_params: int, **options: Any) -> None:
        super().__init__(image_shape, outputs=num_params, **options)


class RecognitionHead(nn.Sequential):
    """InfoGAN's Q (Chen et al., 2016): a critic's hidden layer (B, H) to the `num_params` numbers of q(u|x)."""

    def __init__(
        self,
        num_hidden: int,
        num_params: int,
        *,
        units: int = 128,
        slope: float = 0.01,
        std: float | None = 0.02,
        bn_std: float = 0.02,
    ) -> None:
        super().__init__(
            nn.Linear(num_hidden, units), nn.BatchNorm1d(units), nn.LeakyReLU(slope), nn.Linear(units, num_params)
        )
        initialise(self, std, bn_std)


class PixelBias(nn.Module):
    """A bias for each number of an image (C, H, W), which training begins at the log-odds of the mean image (ALI)."""

    def __init__(self, image_shape: Sequence[int]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(tuple(image_shape)))

    def forward(self, images: Tensor) -> Tensor:
        return images + self.bias

    @torch.no_grad()
    def begin_at(self, mean: Tensor) -> None:
        """Pixels that are always 0 or always 1 count as half a grey level of 255 away from it."""
        self.bias.copy_(mean.logit(eps=0.5 / 255))


class Generator(nn.Sequential):
    """Latents (B, J) to logits (B, C, H, W): `hidden` layers, one to the bottom map of `bottom` channels, convolutions.

    Each layer has batch normalisation and an activation but the last, a convolution [kernel, stride] to the image's own
    channels. The bottom is normalised number by number (`flat_norm`) or map by map; without a bottom the latents
    themselves are maps of 1x1.
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: Sequence[int],
        *,
        convolutions: Convolutions,
        last: Sequence[int],
        hidden: Sequence[int] = (),
        bottom: int | None = None,
        flat_norm: bool = True,
        padded: bool = True,
        bias: bool = True,
        pixel_bias: bool = False,
        slope: float = 0.0,
        std: float | None = None,
        bn_std: float = 0.0,
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
            self.append(upwards(channels, filters, kernel, stride, padded=padded, bias=bias))
            self.extend([nn.BatchNorm2d(filters), nn.LeakyReLU(slope)])
            channels = filters
        self.append(upwards(channels, image_shape[0], *last, padded=padded, bias=not pixel_bias))
        if pixel_bias:
            self.append(PixelBias(image_shape))
        initialise(self, std, bn_std)


class DenseGenerator(nn.Sequential):
    """Latents (B, J) to logits (B, C, H, W) through fully connected layers of `hidden` units; images of any size."""

    def __init__(
        self,
        latent_dim: int,
        image_shape: Sequence[int],
        *,
        hidden: Sequence[int],
        batch_norm: bool = True,
        bias: bool = True,
        affine: bool = True,
        slope: float = 0.0,
        std: float | None = None,
        bn_std: float = 0.0,
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
    """Linear layers sizes[0] -> ... -> sizes[-1], each with its activation."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers.append(nn.Linear(inputs, outputs, bias=bias or not batch_norm))
        layers += [nn.BatchNorm1d(outputs, affine=affine)] if batch_norm else []
        layers.append(nn.LeakyReLU(slope))
    return layers


def upwards(inputs: int, outputs: int, kernel: int, stride: int, *, padded: bool, bias: bool) -> nn.Module:
    """The convolution that enlarges a map by its stride; at stride 1 a transposed one would be the same, mirrored."""
    if not padded:
        return ConvTranspose2d(inputs, outputs, kernel, stride, bias=bias)
    padding = (kernel - 1) // 2
    if stride == 1:
        return Conv2d(inputs, outputs, kernel, padding=padding, bias=bias)
    more = stride - kernel + 2 * padding
    return ConvTranspose2d(inputs, outputs, kernel, stride, padding, output_padding=more, bias=bias)
