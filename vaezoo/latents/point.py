"""Codes without a density."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaezoo.latents.categories import first_of
from vaezoo.latents.draws import Prior, draw, draw_one_hot
from vaezoo.numerics import full_precision
from vaezoo.ranges import Categories, Natural


class PointPosterior(NamedTuple):
    """A single code per image, without any noise: continuous numbers, and probabilities of categories."""

    continuous: Tensor
    probabilities: tuple[Tensor, ...] = ()

    @property
    def mean(self) -> Tensor:
        return torch.cat([self.continuous, *self.probabilities], dim=1)

    @property
    def clusters(self) -> Tensor:
        return first_of(self.probabilities)

    def sample(self, *, relaxed: bool = True) -> Tensor:
        return self.mean


class Point:
    """One code per image and no density; pictures are drawn from a prior that nothing or a critic holds it to.

    With `categories`, the code has the probabilities of each as columns after the `dim` continuous ones, and they are
    decoded as they are.
    """

    def __init__(self, dim: Natural, categories: Categories = (), prior: Prior = "normal") -> None:
        self.continuous = dim
        self.categories = tuple(categories)
        self.prior = prior
        self.dim = self.width = dim + sum(self.categories)
        self.num_params = self.dim

    def posterior(self, params: Tensor) -> PointPosterior:
        """Encoder output (B, dim): codes, then logits."""
        z, *logits = full_precision(params).split([self.continuous, *self.categories], dim=1)
        return PointPosterior(z, tuple(each.softmax(dim=1) for each in logits))

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        z = draw(self.prior, count, self.continuous, device)
        return torch.cat([z, *draw_one_hot(self.categories, z)], dim=1)

    def mode(self, codes: Tensor) -> Tensor:
        return codes
