"""Gaussian latents beside categorical ones."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaezoo.latents.categories import CategoricalPosterior, first_of, one_hot_of_largest
from vaezoo.latents.draws import draw, draw_one_hot
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.numerics import full_precision
from vaezoo.ranges import Categories, Count, Positive


class MixedPosterior(NamedTuple):
    """Independent Gaussian latents and categorical ones; codes and draws are [z, s_1, s_2, ...] in columns."""

    continuous: GaussianPosterior
    categorical: tuple[CategoricalPosterior, ...]

    @property
    def mean(self) -> Tensor:
        """The means of the Gaussians, then the probabilities of each category."""
        return torch.cat([self.continuous.mean, *(q.probabilities for q in self.categorical)], dim=1)

    @property
    def logvar(self) -> Tensor:
        """Of the Gaussians, the first columns."""
        return self.continuous.logvar

    @property
    def clusters(self) -> Tensor:
        """The probabilities of the first categorical variable, (B, K)."""
        return first_of([q.probabilities for q in self.categorical])

    def sample(self, *, relaxed: bool = True) -> Tensor:
        drawn = (q.sample(relaxed=relaxed) for q in self.categorical)
        return torch.cat([self.continuous.sample(), *drawn], dim=1)

    def kl(self) -> Tensor:
        """One column for each Gaussian latent, then one for each categorical variable, nats."""
        return torch.cat([self.continuous.kl(), *(q.kl() for q in self.categorical)], dim=1)

    def log_prob(self, codes: Tensor) -> Tensor:
        """log q(z, s_1, s_2, ...|x) of codes with one-hot categories (B, D), in the columns of kl."""
        z, *drawn = codes.split([self.continuous.mean.shape[1], *(q.logits.shape[1] for q in self.categorical)], dim=1)
        of_categories = (q.log_prob(s) for q, s in zip(self.categorical, drawn, strict=True))
        return torch.cat([self.continuous.log_prob(z), *of_categories], dim=1)


class Mixed:
    """`dim` Gaussian latents and categorical variables with `categories` values each, all priors uniform.

    After construction `dim` counts what a decoder takes, the one-hot numbers of the categories included; `continuous`
    is the number of Gaussian latents.
    """

    def __init__(self, dim: Count, categories: Categories, temperature: Positive) -> None:
        self.continuous = dim
        self.categories = tuple(categories)
        self.temperature = temperature
        self.dim = dim + sum(self.categories)
        self.num_params = dim + self.dim

    @property
    def width(self) -> int:
        return self.dim

    def posterior(self, params: Tensor) -> MixedPosterior:
        """Encoder output (B, 2J + K_1 + K_2 + ...): means, log variances, logits."""
        mean, logvar, *logits = full_precision(params).split([self.continuous, self.continuous, *self.categories], 1)
        return MixedPosterior(
            GaussianPosterior(mean, logvar), tuple(CategoricalPosterior(each, self.temperature) for each in logits)
        )

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """`count` draws from the prior, N(0, I) and one-hot uniform: (count, dim)."""
        z = draw("normal", count, self.continuous, device)
        return torch.cat([z, *draw_one_hot(self.categories, z)], dim=1)

    def mode(self, codes: Tensor) -> Tensor:
        """What is decoded for codes (B, dim): the means, and each category's probabilities made one-hot."""
        z, *probabilities = codes.split([self.continuous, *self.categories], dim=1)
        return torch.cat([z, *map(one_hot_of_largest, probabilities)], dim=1)
