"""A VAE with sparse codes, an example: minimises rec + KL + sparsity L1, where L1 = Σ_j |μ_j|."""

from typing import Any

from torch import Tensor

from vaezoo.losses.elbo import elbo_terms
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Weight


class L1VAE(LatentModel):
    """A VAE whose posterior means μ are charged for their absolute values, so that few of them are far from zero."""

    def __init__(self, *, sparsity: Weight, **parts: Any) -> None:
        super().__init__(**parts)
        self.sparsity = sparsity

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        terms = elbo_terms(self.decode(q.sample()), q, x)
        l1 = q.mean.abs().sum(dim=1).mean()
        return {"loss": terms["rec"] + terms["kl"] + self.now(self.sparsity) * l1, **terms, "l1": l1}
