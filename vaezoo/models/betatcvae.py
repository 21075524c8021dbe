"""beta-TCVAE (Chen, Li, Grosse & Duvenaud, 2018): the total correlation gets a weight of its own (their equation 4).

    minimise  rec + alpha MI + beta TC + gamma dwKL,        where MI + TC + dwKL = KL on average

The three parts and their estimators are in vaezoo.losses.total_correlation. With all weights 1 it is the VAE.
"""

from typing import Any, Literal

from torch import Tensor

from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import scheduled
from vaezoo.losses.total_correlation import Estimator, batch_decomposition
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Weight


class BetaTCVAE(LatentModel):
    """A VAE with a weight for each part of the KL.

    `form="terms"` is the equation above; its KL is that of the samples. `form="elbo"` is rec + KL + (alpha - 1) MI +
    (beta - 1) TC + (gamma - 1) dwKL, equal on average; its KL has a closed form, with less noise and no estimator.
    """

    paper = (
        "Chen, Li, Grosse & Duvenaud (2018). Isolating Sources of Disentanglement in Variational Autoencoders. "
        "NeurIPS. arXiv:1802.04942"
    )
    compares_images = "the total correlation of beta-TCVAE"
    needs_train_images = True

    def __init__(
        self,
        *,
        alpha: Weight,
        beta: Weight,
        gamma: Weight,
        estimator: Estimator,
        form: Literal["terms", "elbo"],
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        self.estimator: Estimator = estimator
        self.form = form

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        z = q.sample()
        terms = elbo_terms(self.decode(z), q, x)
        mi, tc, dwkl = batch_decomposition(z, q, self.estimator, self.train_images)
        alpha, beta, gamma = self.now(self.alpha), self.now(self.beta), self.now(self.gamma)
        if self.form == "terms":
            loss = terms["rec"] + alpha * mi + beta * tc + gamma * dwkl
        else:
            loss = terms["rec"] + terms["kl"] + (alpha - 1) * mi + (beta - 1) * tc + (gamma - 1) * dwkl
        weights = scheduled(alpha=alpha, beta=beta, gamma=gamma)
        return {"loss": loss, **terms, "mi": mi, "tc": tc, "dwkl": dwkl, **weights}
