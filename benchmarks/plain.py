"""CONV-H and three objectives in plain torch, as one would write them by hand.

The bare loop and the packages train these networks. Nothing of vaezoo is imported: what makes vaezoo faster must not
make them faster, and their environments do not have it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = (32, 32, 64, 64)
HIDDEN = 256


def encoder(shape: Sequence[int], latents: int) -> nn.Sequential:
    """Images (B, C, H, W) to means and log variances, (B, 2J)."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((shape[0], *CHANNELS)):
        layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
    features = CHANNELS[-1] * (shape[1] // 16) * (shape[2] // 16)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * latents))


def decoder(shape: Sequence[int], latents: int) -> nn.Sequential:
    """Latents (B, J) to logits (B, C, H, W)."""
    bottom = (CHANNELS[-1], shape[1] // 16, shape[2] // 16)
    layers: list[nn.Module] = [nn.Linear(latents, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, math.prod(bottom)), nn.ReLU()]
    layers.append(nn.Unflatten(1, bottom))
    for inputs, outputs in pairwise(CHANNELS[::-1]):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(CHANNELS[0], shape[0], 4, stride=2, padding=1))


class VAE(nn.Module):
    """Images to the loss and its two parts; `penalty` of (z, mean, logvar, kl) is what a model has besides rec."""

    def __init__(self, shape: Sequence[int], latents: int, penalty: Callable[..., Tensor]) -> None:
        super().__init__()
        self.encoder = encoder(shape, latents)
        self.decoder = decoder(shape, latents)
        self.penalty = penalty

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, logvar = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        rec = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") / len(x)
        kl = 0.5 * (mean.square() + logvar.exp() - logvar - 1).sum() / len(x)
        return rec + self.penalty(z, mean, logvar, kl), rec, kl


def betavae(*, beta: float) -> Callable[..., Tensor]:
    return lambda z, mean, logvar, kl: beta * kl


def dipvae(*, lambda_od: float) -> Callable[..., Tensor]:
    """Kind i, lambda_d = 10 lambda_od."""

    def penalty(z: Tensor, mean: Tensor, logvar: Tensor, kl: Tensor) -> Tensor:
        centred = mean - mean.mean(0)
        gap = centred.T @ centred / len(mean) - torch.eye(mean.shape[1], device=mean.device)
        diagonal = gap.diagonal().square().sum()
        return kl + lambda_od * (gap.square().sum() - diagonal) + 10 * lambda_od * diagonal

    return penalty


def betatcvae(*, beta: float, images: int) -> Callable[..., Tensor]:
    """KL + (beta - 1) TC by minibatch weighted sampling."""

    def penalty(z: Tensor, mean: Tensor, logvar: Tensor, kl: Tensor) -> Tensor:
        pairs = -0.5 * ((z[:, None] - mean).square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi))
        number = math.log(len(z) * images)
        joint = pairs.sum(2).logsumexp(1) - number
        product = (pairs.logsumexp(1) - number).sum(1)
        return kl + (beta - 1) * (joint - product).mean()

    return penalty


def copy_weights(arrays: Iterable[np.ndarray], *modules: nn.Module) -> None:
    """By their order, which is the same in every version of a network; their names are not."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    with torch.no_grad():
        for parameter, array in zip(parameters, arrays, strict=True):
            parameter.copy_(torch.from_numpy(array))


def size(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())
