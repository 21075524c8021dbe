"""InfoVAE (Zhao, Song & Ermon, 2019): the aggregate posterior q(z) is matched to the prior.

    minimise  rec + (1 - alpha) KL + (alpha + lambda - 1) D(q(z) || p(z)),        D = MMD^2

With D = KL the regulariser is (1 - alpha) MI + lambda KL(q(z) || p(z)), MI the information of codes about images.
alpha = 0, lambda = 1 is the VAE whatever D is; alpha = 1 does not penalise information at all: the MMD-VAE.
"""

from typing import Any

from torch import Tensor

from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.mmd import Kernel, prior_mmd2
from vaezoo.losses.schedules import scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import FractionWeight, Positive, Weight


class InfoVAE(LatentModel):
    """A VAE with the MMD^2 between the codes of a batch and as many draws from the prior.

    `lambda_mmd` is the paper's lambda, 0 <= alpha <= 1, and `kernel` and `bandwidth` are those of vaezoo.losses.mmd;
    `bandwidth=None` is twice the number of latents, the mean squared distance of two prior draws. Quote the weight with
    the batch size, because the estimate is noisier in small batches.
    """

    paper = (
        "Zhao, Song & Ermon (2019). InfoVAE: Balancing Learning and Inference in Variational Autoencoders. AAAI. "
        "arXiv:1706.02262"
    )
    compares_images = "the MMD of InfoVAE"

    def __init__(
        self,
        *,
        alpha: FractionWeight,
        lambda_mmd: Weight,
        kernel: Kernel = "rbf",
        bandwidth: Positive | None = None,
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.alpha = alpha
        self.lambda_mmd = lambda_mmd
        self.kernel: Kernel = kernel
        self.bandwidth = bandwidth if bandwidth is not None else 2.0 * self.latent.dim

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        z = q.sample()
        terms = elbo_terms(self.decode(z), q, x)
        mmd = prior_mmd2(z, self.latent, self.kernel, self.bandwidth)
        alpha, lambda_mmd = self.now(self.alpha), self.now(self.lambda_mmd)
        loss = terms["rec"] + (1 - alpha) * terms["kl"] + (alpha + lambda_mmd - 1) * mmd
        return {"loss": loss, **terms, "mmd": mmd, **scheduled(alpha=alpha, lambda_mmd=lambda_mmd)}
