"""Gaussian and categorical latents in one space."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaezoo.latents.categories import CategoricalPosterior, first_category, one_hot_of_largest
from vaezoo.latents.draws import draw_codes
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.numerics import full_precision
from vaezoo.ranges import Categories, Count, Positive


class MixedPosterior(NamedTuple):
    """The posterior of independent Gaussian and categorical latents; codes and draws are [z, s_1, s_2, ...], (B, D)."""

    continuous: GaussianPosterior
    categorical: tuple[CategoricalPosterior, ...]

    @property
    def mean(self) -> Tensor:
        """Return the means of the Gaussians, then the probabilities of each category, (B, D)."""
        return torch.cat([self.continuous.mean, *(q.probabilities for q in self.categorical)], dim=1)

    @property
    def logvar(self) -> Tensor:
        """Return the log variances of the Gaussians, which are the first columns of the codes, (B, J)."""
        return self.continuous.logvar

    @property
    def clusters(self) -> Tensor:
        """Return the probabilities of the first category, (B, K)."""
        return first_category([q.probabilities for q in self.categorical])

    def sample(self, *, relaxed: bool = True) -> Tensor:
        """Draw [z, s_1, s_2, ...], (B, D); categories are one-hot unless `relaxed`."""
        categories = (q.sample(relaxed=relaxed) for q in self.categorical)
        return torch.cat([self.continuous.sample(), *categories], dim=1)

    def kl(self) -> Tensor:
        """Return the KL of each Gaussian latent and then of each category, in columns, nats."""
        return torch.cat([self.continuous.kl(), *(q.kl() for q in self.categorical)], dim=1)

    def log_prob(self, codes: Tensor) -> Tensor:
        """Return log q(z, s_1, s_2, ...|x) of codes (B, D) with one-hot categories, in the columns of `kl`."""
        sizes = [self.continuous.mean.shape[1], *(q.logits.shape[1] for q in self.categorical)]
        z, *categories = codes.split(sizes, dim=1)
        log_categories = (q.log_prob(s) for q, s in zip(self.categorical, categories, strict=True))
        return torch.cat([self.continuous.log_prob(z), *log_categories], dim=1)


class Mixed:
    """The space of `dim` Gaussian latents and of categorical variables with `categories` values each.

    The priors are N(0, I) and uniform. The attribute `continuous` is the number of Gaussian latents; the attribute
    `dim` also includes the one-hot numbers of the categories, as a decoder takes them.
    """

    def __init__(self, dim: Count, categories: Categories, temperature: Positive) -> None:
        self.continuous = dim
        self.categories = tuple(categories)
        self.temperature = temperature
        self.dim = dim + sum(self.categories)
        self.num_params = dim + self.dim

    @property
    def width(self) -> int:
        """Return how many numbers a code has."""
        return self.dim

    def posterior(self, params: Tensor) -> MixedPosterior:
        """Return the posteriors of an encoder's output (B, 2J + K_1 + K_2 + ...): means, log variances, logits."""
        mean, logvar, *logits = full_precision(params).split([self.continuous, self.continuous, *self.categories], 1)
        categorical = tuple(CategoricalPosterior(columns, self.temperature) for columns in logits)
        return MixedPosterior(GaussianPosterior(mean, logvar), categorical)

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """Draw from the prior, with one-hot categories, (count, dim)."""
        return draw_codes("normal", count, self.continuous, self.categories, device)

    def mode(self, codes: Tensor) -> Tensor:
        """Return codes (B, dim) with the most probable value of each category as one-hot numbers."""
        z, *probabilities = codes.split([self.continuous, *self.categories], dim=1)
        return torch.cat([z, *map(one_hot_of_largest, probabilities)], dim=1)
