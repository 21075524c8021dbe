"""beta-VAE (Higgins et al., 2017): minimises rec + beta KL (their equation 4); beta = 1 is the VAE."""

from typing import Any

from torch import Tensor

from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Weight


class BetaVAE(LatentModel):
    """`kl_share` is the share of the KL in the negative ELBO; `kl_share_w` that of beta KL in the loss.

    The second is what some papers plot as "KL / ELBO", and beta KL what they log as KL.

    Before quoting a beta: Kumar et al. (2018) report 60 and 20, neither of them in their sweep, and print the Gaussian
    KL without its constant -beta J / 2; Schik's script hands no beta to beta-VAE and beta-TCVAE, which run as VAEs.
    """

    latents = ("Gaussian", "Mixed")

    def __init__(self, *, beta: Weight, **parts: Any) -> None:
        super().__init__(**parts)
        self.beta = self.kl_weight = beta

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        terms = elbo_terms(self.decode(q.sample()), q, x)
        beta = self.now(self.beta)
        loss = terms["rec"] + beta * terms["kl"]
        return {"loss": loss, **terms, "kl_share_w": beta * terms["kl"] / loss, **scheduled(beta=beta)}
