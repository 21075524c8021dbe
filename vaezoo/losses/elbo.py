"""The evidence lower bound and its two parts, in nats per image."""

from typing import Protocol

from torch import Tensor


class ImageDistribution(Protocol):
    """A distribution over images, such as those of `vaezoo.likelihoods`; rec is (B,) in nats per image."""

    def rec(self, x: Tensor) -> Tensor: ...


class Posterior(Protocol):
    """A posterior, such as those of `vaezoo.latents`; kl is (B, J) in nats."""

    def kl(self) -> Tensor: ...


def elbo_terms(p: ImageDistribution, q: Posterior, x: Tensor) -> dict[str, Tensor]:
    """Return the batch means of -log p(x|z), `rec`, and KL(q(z|x) || p(z)), `kl`, and the terms that follow from them.

    With x (B, C, H, W),

        elbo = -(rec + kl) = log p(x) - KL(q(z|x) || p(z|x))        (Kingma & Welling, 2014)

    `rec` is a sum over pixels and channels and `kl` a sum over latents; neither is divided by their numbers or
    weighted, so a beta that multiplies `kl` is the beta of the paper. `kl_share` = kl / (rec + kl); `kl_per_dim` (J,).
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
