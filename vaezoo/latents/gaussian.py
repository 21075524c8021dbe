"""Gaussian latents: a standard normal prior, and posteriors with variances of their own."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaezoo.distributed import normal_like
from vaezoo.latents.draws import draw
from vaezoo.numerics import full_precision
from vaezoo.ranges import Count


class GaussianPosterior(NamedTuple):
    """q(z|x) = N(mean, diag exp(logvar)); both (B, J).

    A softplus of exp(s) as the standard deviation, as some code has it, can never be narrower than ln 2 = 0.69.
    """

    mean: Tensor
    logvar: Tensor

    def sample(self, *, relaxed: bool = True) -> Tensor:
        """mean + sigma * eps with eps ~ N(0, I); (B, J)."""
        return self.at(normal_like(self.mean))

    def at(self, eps: Tensor) -> Tensor:
        """The draw that this noise makes, mean + sigma * eps; (B, J)."""
        return self.mean + torch.exp(0.5 * self.logvar) * eps

    def kl(self) -> Tensor:
        """KL(q(z_j|x) || N(0, 1)) for each image and dimension, nats; (B, J).

        In closed form: log q(z|x) - log p(z) at a draw, as some code has it, is the same on average, with more noise.
        """
        return 0.5 * (self.mean.square() + self.logvar.exp() - self.logvar - 1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z_j|x) for each dimension; z (B, J) -> (B, J)."""
        return -0.5 * ((z - self.mean).square() * torch.exp(-self.logvar) + self.logvar + math.log(2 * math.pi))


class Gaussian:
    """A standard normal prior over `dim` latents and a Gaussian posterior with its own variances."""

    categories: tuple[int, ...] = ()

    def __init__(self, dim: Count) -> None:
        self.dim = self.width = dim
        self.num_params = 2 * dim

    def posterior(self, params: Tensor) -> GaussianPosterior:
        """Encoder output (B, 2J), means first."""
        mean, logvar = full_precision(params).chunk(2, dim=1)
        return GaussianPosterior(mean, logvar)

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """`count` draws from the prior: (count, J)."""
        return draw("normal", count, self.dim, device)

    def mode(self, codes: Tensor) -> Tensor:
        """What is decoded for a code: the code itself."""
        return codes
