"""Gaussian latents with a standard normal prior."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaezoo.distributed import normal_like
from vaezoo.latents.draws import draw
from vaezoo.numerics import full_precision
from vaezoo.ranges import Count


class GaussianPosterior(NamedTuple):
    """The posterior q(z|x) = N(mean, diag exp(logvar)); both (B, J)."""

    mean: Tensor
    logvar: Tensor

    def sample(self, *, relaxed: bool = True) -> Tensor:
        """Draw mean + sigma * eps with eps ~ N(0, I), (B, J)."""
        return self.at(normal_like(self.mean))

    def at(self, eps: Tensor) -> Tensor:
        """Return the draw mean + sigma * eps, (B, J), of noise eps (B, J)."""
        return self.mean + torch.exp(0.5 * self.logvar) * eps

    def kl(self) -> Tensor:
        """Return KL(q(z_j|x) || N(0, 1)) of each image and latent, (B, J) nats (Kingma & Welling, 2014, appendix B)."""
        return 0.5 * (self.mean.square() + self.logvar.exp() - self.logvar - 1)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z_j|x) of each latent, (B, J), for z (B, J)."""
        return -0.5 * ((z - self.mean).square() * torch.exp(-self.logvar) + self.logvar + math.log(2 * math.pi))


class Gaussian:
    """The space of `dim` latents with the prior N(0, I) and Gaussian posteriors with means and variances."""

    categories: tuple[int, ...] = ()

    def __init__(self, dim: Count) -> None:
        self.dim = self.width = dim
        self.num_params = 2 * dim

    def posterior(self, params: Tensor) -> GaussianPosterior:
        """Return the posteriors of an encoder's output (B, 2J): means, then log variances."""
        mean, logvar = full_precision(params).chunk(2, dim=1)
        return GaussianPosterior(mean, logvar)

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """Draw from the prior, (count, J)."""
        return draw("normal", count, self.dim, device)

    def mode(self, codes: Tensor) -> Tensor:
        """Return the codes, which are decoded as they are."""
        return codes
