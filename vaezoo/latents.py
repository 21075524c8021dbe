"""Latent spaces: a prior, and the posterior that an encoder's output stands for.

A space says how many numbers an encoder has to give (`num_params`) and how many a decoder takes (`dim`). A posterior
has `mean`, the code of an image; `sample()`, one reparameterised draw per image; and, where there is a density, `kl()`.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


def full_precision(params: Tensor) -> Tensor:
    """float32 also under autocast, since a KL needs the digits; float64 stays what it is."""
    return params.to(torch.promote_types(params.dtype, torch.float32))


class GaussianPosterior(NamedTuple):
    """q(z|x) = N(mean, diag exp(logvar)); both (B, J)."""

    mean: Tensor
    logvar: Tensor

    def sample(self) -> Tensor:
        """mean + sigma * eps with eps ~ N(0, I) from torch's current generator; (B, J)."""
        return self.mean + torch.exp(0.5 * self.logvar) * torch.randn_like(self.mean)

    def kl(self) -> Tensor:
        """KL(q(z_j|x) || N(0, 1)) for each image and dimension, nats; (B, J)."""
        return 0.5 * (self.mean.square() + self.logvar.exp() - self.logvar - 1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z_j|x) for each dimension; z (B, J) -> (B, J)."""
        return -0.5 * ((z - self.mean).square() * torch.exp(-self.logvar) + self.logvar + math.log(2 * math.pi))


class Gaussian:
    """A standard normal prior over `dim` latents and a Gaussian posterior with its own variances."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.num_params = 2 * dim

    def posterior(self, params: Tensor) -> GaussianPosterior:
        """Encoder output (B, 2J), means first."""
        mean, logvar = full_precision(params).chunk(2, dim=1)
        return GaussianPosterior(mean, logvar)

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """`count` draws from the prior: (count, J)."""
        return torch.randn(count, self.dim, device=device)


class PointPosterior(NamedTuple):
    """A single code per image, without any noise."""

    mean: Tensor

    def sample(self) -> Tensor:
        return self.mean


class Point:
    """The code of an autoencoder: no density; N(0, I) stands in as the prior, since pictures drawn from it show what
    an autoencoder lacks.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.num_params = dim

    def posterior(self, params: Tensor) -> PointPosterior:
        return PointPosterior(full_precision(params))

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        return torch.randn(count, self.dim, device=device)
