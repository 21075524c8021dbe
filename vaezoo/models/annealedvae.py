"""Capacity-annealed beta-VAE (Burgess et al., 2018): the KL is held at a capacity that grows.

    minimise  rec + gamma |KL - C|

KL is the mean of the batch, and the modulus is taken of that mean, because images may differ in what they need. Below C
the gradient raises the KL, so the modulus is no ReLU. The first batch has t = 0 and C_0.
"""

from typing import Any

import torch
from torch import Tensor

from vaezoo.distributed import average
from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Weight


class AnnealedVAE(LatentModel):
    """A VAE whose KL follows `capacity` C, in nats and usually a schedule; its value is logged as "capacity"."""

    paper = "Burgess et al. (2018). Understanding disentangling in beta-VAE. arXiv:1804.03599"
    latents = ("Gaussian", "Mixed")

    def __init__(self, *, gamma: Weight, capacity: Weight, **parts: Any) -> None:
        super().__init__(**parts)
        self.gamma = gamma
        self.capacity = capacity

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        terms = elbo_terms(self.decode(q.sample()), q, x)
        gamma, capacity = self.now(self.gamma), self.now(self.capacity)
        loss = terms["rec"] + gamma * (average(terms["kl"]) - capacity).abs()
        return {"loss": loss, **terms, "capacity": capacity + torch.zeros_like(terms["kl"]), **scheduled(gamma=gamma)}
