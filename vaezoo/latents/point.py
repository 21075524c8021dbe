"""Codes without a density, as those of an autoencoder."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaezoo.latents.categories import first_category
from vaezoo.latents.draws import Prior, draw_codes
from vaezoo.numerics import full_precision
from vaezoo.ranges import Categories, Natural


class PointPosterior(NamedTuple):
    """A single code for each image without noise: continuous numbers (B, J), and probabilities (B, K) of categories."""

    continuous: Tensor
    probabilities: tuple[Tensor, ...] = ()

    @property
    def mean(self) -> Tensor:
        """Return the codes, (B, width)."""
        return torch.cat([self.continuous, *self.probabilities], dim=1)

    @property
    def clusters(self) -> Tensor:
        """Return the probabilities of the first category, (B, K)."""
        return first_category(self.probabilities)

    def sample(self, *, relaxed: bool = True) -> Tensor:
        """Return the codes themselves, because they have no noise."""
        return self.mean


class Point:
    """The space of codes without a density.

    Images are generated from a prior, which the codes follow only where a critic of the model makes them. With
    `categories` the probabilities of each category follow the `dim` continuous columns, and are decoded as they are.
    """

    def __init__(self, dim: Natural, categories: Categories = (), prior: Prior = "normal") -> None:
        self.continuous = dim
        self.categories = tuple(categories)
        self.prior = prior
        self.dim = self.width = dim + sum(self.categories)
        self.num_params = self.dim

    def posterior(self, params: Tensor) -> PointPosterior:
        """Return the codes of an encoder's output (B, dim): continuous numbers, then logits of each category."""
        z, *logits = full_precision(params).split([self.continuous, *self.categories], dim=1)
        return PointPosterior(z, tuple(columns.softmax(dim=1) for columns in logits))

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """Draw from the prior, with one-hot categories, (count, dim)."""
        return draw_codes(self.prior, count, self.continuous, self.categories, device)

    def mode(self, codes: Tensor) -> Tensor:
        """Return the codes, which are decoded as they are."""
        return codes
