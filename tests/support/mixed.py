"""Posteriors with a continuous and a categorical part."""

import math

import torch
from torch import Tensor

from vaezoo.latents.categories import CategoricalPosterior
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.latents.mixed import MixedPosterior


def posterior(mean: Tensor, logits: Tensor, variance: float = 1.0) -> MixedPosterior:
    continuous = GaussianPosterior(mean, torch.full_like(mean, math.log(variance)))
    return MixedPosterior(continuous, (CategoricalPosterior(logits, 0.1),))
