"""Variational autoencoder (Kingma & Welling, 2014): minimises the negative ELBO, rec + KL (their equation 3)."""

from torch import Tensor

from vaezoo.losses.elbo import elbo_terms
from vaezoo.models.base import LatentModel, Terms


class VAE(LatentModel):
    """A variational autoencoder with Gaussian latents, categories or both."""

    paper = "Kingma & Welling (2014). Auto-Encoding Variational Bayes. ICLR. arXiv:1312.6114"
    latents = ("Gaussian", "Mixed")

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        terms = elbo_terms(self.decode(q.sample()), q, x)
        return {"loss": terms["rec"] + terms["kl"], **terms}
