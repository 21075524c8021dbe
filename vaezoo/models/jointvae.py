"""JointVAE (Dupont, 2018): Gaussian and categorical latents, each held at a capacity that grows (its equation 7).

    minimise  rec + gamma_z |KL_z - C_z| + gamma_c |KL_c - C_c|

KL_z and KL_c are means of the batch. KL_c comes from the probabilities of the categories, not from their relaxed draws,
so it is at most ln K. C_c stops there, because a larger capacity would only sharpen the probabilities.
"""

import math
from typing import Any

import torch
from torch import Tensor

from vaezoo.distributed import average
from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Weight


class JointVAE(LatentModel):
    """A VAE with categories; the capacities C are in nats and usually schedules, whose values are logged."""

    paper = (
        "Dupont (2018). Learning Disentangled Joint Continuous and Discrete Representations. NeurIPS. arXiv:1804.00104"
    )
    latents = ("Mixed",)

    def __init__(
        self,
        *,
        gamma_z: Weight,
        gamma_c: Weight,
        capacity_z: Weight,
        capacity_c: Weight,
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.gamma_z, self.gamma_c = gamma_z, gamma_c
        self.capacity_z, self.capacity_c = capacity_z, capacity_c
        self.most_c = sum(math.log(values) for values in self.latent.categories)

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        terms = elbo_terms(self.decode(q.sample()), q, x)
        kl_z, kl_c = (part.sum() for part in average(terms["kl_per_dim"]).tensor_split([self.latent.continuous]))
        capacity_z = self.now(self.capacity_z) + torch.zeros_like(kl_z)
        capacity_c = (self.now(self.capacity_c) + torch.zeros_like(kl_c)).clamp(max=self.most_c)
        gamma_z, gamma_c = self.now(self.gamma_z), self.now(self.gamma_c)
        loss = terms["rec"] + gamma_z * (kl_z - capacity_z).abs() + gamma_c * (kl_c - capacity_c).abs()
        parts = {"kl_z": kl_z, "kl_c": kl_c, "capacity_z": capacity_z, "capacity_c": capacity_c}
        return {"loss": loss, **terms, **parts, **scheduled(gamma_z=gamma_z, gamma_c=gamma_c)}
