"""Fully connected encoders and decoders.

In `conf/network`, `mlpk.yaml` is the 500-unit tanh network of Kingma & Welling (2014), `mlph.yaml` the 1200-unit
network of Higgins et al. (2017) for dSprites, and `mlp002.yaml` the network of two 500-unit ReLU layers of Ye & Bors.
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
    """Return linear layers sizes[0] -> ... -> sizes[-1], with the activation between them and none after the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def dense(inputs: int, outputs: int, *, hidden: Sequence[int], activation: Activation) -> nn.Sequential:
    """Return a fully connected network between vectors, (B, inputs) -> (B, outputs), such as a mixture prior has.

    Its layers have `hidden` units each, with the `activation` between them.
    """
    return mlp([inputs, *hidden, outputs], activation)


def append_condition(features: Tensor, u: Tensor | None) -> Tensor:
    """Append the condition u (B, K), such as the class of each image, to features (B, F)."""
    return features if u is None else torch.cat([features, u], dim=1)


class MLPEncoder(nn.Module):
    """A network from images (B, C, H, W), with `condition` numbers u beside each, to `num_params` numbers each.

    Its layers have `hidden` units each, with the `activation` between them.
    """

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
        return self.layers(append_condition(x.flatten(1), u))


class MLPDecoder(nn.Module):
    """A network from latents (B, J) to the parameters of a likelihood, (B, C, H, W).

    Its layers have `hidden` units each, with the `activation` between them.
    """

    def __init__(self, latent_dim: int, image_shape: Sequence[int], *, hidden: Sizes, activation: Activation) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.layers = mlp([latent_dim, *hidden, math.prod(image_shape)], activation)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.image_shape)
