"""WAE-MMD, a Wasserstein autoencoder (Tolstikhin et al., 2018): the codes of all images together follow the prior.

    minimise  rec + lambda MMD^2(q(z), p(z))                                            (their equation 4, algorithm 2)

with the kernel k(a, b) = C / (C + |a - b|^2), C = 2J. Unlike a KL, which pulls the code of each image to the prior, the
MMD leaves them apart: an encoder without noise, `latent=point`, is enough.
"""

from typing import Any

from torch import Tensor

from vaezoo.losses.mmd import prior_mmd2
from vaezoo.losses.schedules import scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Positive, Weight


class WAEMMD(LatentModel):
    """An autoencoder with the MMD^2 between the codes of a batch and as many draws from the prior.

    The encoder gives points, or Gaussian posteriors (`latent=gaussian`), whose draws the MMD sees. `bandwidth` is the
    C of the kernel; None is twice the number of latents, the mean squared distance of two draws from N(0, I). With
    Gaussian posteriors it is InfoVAE with alpha 1 and the same kernel.
    """

    paper = "Tolstikhin, Bousquet, Gelly & Schölkopf (2018). Wasserstein Auto-Encoders. ICLR. arXiv:1711.01558"
    latents = ("Point", "Gaussian")
    compares_images = "the MMD of WAE-MMD"

    def __init__(self, *, lambda_mmd: Weight, bandwidth: Positive | None = None, **parts: Any) -> None:
        super().__init__(**parts)
        self.lambda_mmd = lambda_mmd
        self.bandwidth = bandwidth if bandwidth is not None else 2.0 * self.latent.dim

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        z = self.encode(x).sample()
        rec = self.decode(z).rec(x).mean()
        mmd = prior_mmd2(z, self.latent, "imq", self.bandwidth)
        lambda_mmd = self.now(self.lambda_mmd)
        return {"loss": rec + lambda_mmd * mmd, "rec": rec, "mmd": mmd, **scheduled(lambda_mmd=lambda_mmd)}
