"""beta-VAE (Higgins et al., 2017): minimises rec + beta KL (their equation 4); beta = 1 is the VAE."""

from typing import Any

from torch import Tensor

from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Weight


class BetaVAE(LatentModel):
    """A VAE with a weight on the KL.

    The term `kl_share` is the share of the KL in the negative ELBO, and `kl_share_w` the share of beta KL in the loss.
    """

    paper = (
        "Higgins et al. (2017). beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework."
        " ICLR."
    )
    latents = ("Gaussian", "Mixed")

    def __init__(self, *, beta: Weight, **parts: Any) -> None:
        super().__init__(**parts)
        self.beta = self.kl_weight = beta

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x, labels)
        terms = elbo_terms(self.decode(q.sample(), labels), q, x)
        beta = self.now(self.beta)
        loss = terms["rec"] + beta * terms["kl"]
        return {"loss": loss, **terms, "kl_share_w": beta * terms["kl"] / loss, **scheduled(beta=beta)}
