"""The evidence lower bound and its two parts, in nats per image."""

from typing import Protocol

from torch import Tensor


class ImageDistribution(Protocol):
    def rec(self, x: Tensor) -> Tensor: ...


class Posterior(Protocol):
    def kl(self) -> Tensor: ...


def elbo_terms(p: ImageDistribution, q: Posterior, x: Tensor) -> dict[str, Tensor]:
    """Batch means of -log p(x|z) and KL(q(z|x) || p(z)) and what follows from them, none of them weighted.

    `rec` sums over pixels and channels and `kl` over latents; nothing is divided by their number, so a beta here is
    the beta of the paper. elbo = -(rec + kl) <= log p(x): some texts print the bound with the sign of the KL, or of
    the whole, the other way round. What is missing is a KL, too: log p(x) = elbo + KL(q(z|x) || p(z|x)), not minus.
    Public code that averages squared errors over P pixels and weights the KL by w trains beta = w P with the Gaussian
    likelihood of variance 1/2: its w = 0.00025 for 64x64 colour images is a beta of 3.07.
    """
    rec = p.rec(x).mean()
    kl_per_dim = q.kl().mean(0)  # (J,)
    kl = kl_per_dim.sum()
    return {
        "rec": rec,
        "kl": kl,
        "elbo": -(rec + kl),
        "kl_share": kl / (rec + kl),
        "kl_per_dim": kl_per_dim,
    }
