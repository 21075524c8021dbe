"""Fully connected encoders and decoders.

`conf/network/mlpk.yaml` is the 500-unit tanh network of Kingma & Welling (2014), `mlph.yaml` the 1200-unit network that
Higgins et al. (2017) used on dSprites, where Kumar et al. (2018) say that they took over a CNN, `mlp002.yaml` the
network of two 500-unit ReLU layers of Ye & Bors.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from vaezoo.ranges import Sizes

Activation = Literal["relu", "tanh"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


def mlp(sizes: Sequence[int], activation: Activation) -> nn.Sequential:
    """Linear layers sizes[0] -> ... -> sizes[-1], with the activation between them and none after the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def dense(inputs: int, outputs: int, *, hidden: Sequence[int], activation: Activation) -> nn.Sequential:
    """A fully connected network between vectors, (B, inputs) -> (B, outputs), such as that of a mixture prior."""
    return mlp([inputs, *hidden, outputs], activation)


def with_condition(features: Tensor, u: Tensor | None) -> Tensor:
    """Features (B, F) with what is known about each image, (B, K), appended."""
    return features if u is None else torch.cat([features, u], dim=1)


class MLPEncoder(nn.Module):
    """Images (B, C, H, W) to `num_params` numbers each; `condition` more numbers per image can be appended."""

    def __init__(
        self,
        image_shape: Sequence[int],
        num_params: int,
        *,
        hidden: Sizes,
        activation: Activation,
        condition: int = 0,
    ) -> None:
        super().__init__()
        self.layers = mlp([math.prod(image_shape) + condition, *hidden, num_params], activation)

    def forward(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        return self.layers(with_condition(x.flatten(1), u))


class MLPDecoder(nn.Module):
    """Latents (B, J) to the parameters of a likelihood, one per pixel: (B, C, H, W)."""

    def __init__(self, latent_dim: int, image_shape: Sequence[int], *, hidden: Sizes, activation: Activation) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.layers = mlp([latent_dim, *hidden, math.prod(image_shape)], activation)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.image_shape)
