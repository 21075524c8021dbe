"""Ada-GVAE (Locatello et al., ICML 2020): images come in pairs that share some factors, and the model finds out which.

    minimise  mean over both images of  rec + beta KL( q~(z|x) || p(z) )

q~ has, for each latent that seems to be shared by the pair, the average of both posteriors (Hosoya, 2019),

    mean = (mean_1 + mean_2) / 2        variance = (variance_1 + variance_2) / 2

and for each other latent the posterior of the image itself. Shared are the latents whose divergence between the two
posteriors is below the middle of the smallest and the largest of the pair:

    d_j = KL( q(z_j|x_1) || q(z_j|x_2) ) < ( min_i d_i + max_i d_i ) / 2

The model is not told which factors are equal, nor how many. Who knows that k latents differ can average all but the k
with the largest divergences (`differing`), as the paper does first.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from vaezoo.errors import UserError
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.schedules import scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.ranges import Count, Weight

Divergence = Literal["forward", "symmetric"]


def divergences(first: GaussianPosterior, second: GaussianPosterior, kind: Divergence) -> Tensor:
    """Return the KL of each latent from one posterior to the other, (B, J) nats; symmetric is both directions' mean."""
    if kind == "symmetric":
        return (divergences(first, second, "forward") + divergences(second, first, "forward")) / 2
    ratio = torch.exp(first.logvar - second.logvar)
    distance = (first.mean - second.mean).square() * torch.exp(-second.logvar)
    return 0.5 * (ratio + distance - 1 + second.logvar - first.logvar)


def find_shared(divergence: Tensor, differing: int | None = None) -> Tensor:
    """Return which latents of each pair are shared, (B, J) booleans, by their divergences (B, J).

    These are all but the `differing` with the largest divergences; None goes by the middle of the extremes.
    """
    if differing is None:
        return divergence < (divergence.amin(dim=1, keepdim=True) + divergence.amax(dim=1, keepdim=True)) / 2
    return divergence.argsort(dim=1, descending=True).argsort(dim=1) >= differing


class AdaGVAE(LatentModel):
    """A beta-VAE of pairs: the first half of a batch are images, the second half their partners, in the same order.

    `vaezoo.train` makes the pairs from the factors of the data set (vaezoo.data.pairs), of which `changed_factors` may
    differ within a pair; None is a random number for each pair. The model is not told. `differing` is a number of
    latents that stay apart, for those who know it. The term `shared` is the mean number of latents that were averaged.
    """

    paper = (
        "Locatello, Poole, Rätsch, Schölkopf, Bachem & Tschannen (2020). Weakly-Supervised Disentanglement Without"
        " Compromises. ICML. arXiv:2002.02886"
    )
    pairs = True
    batches_a_step = 2

    def __init__(
        self,
        *,
        beta: Weight,
        changed_factors: Count | None = None,
        differing: Count | None = None,
        divergence: Divergence = "forward",
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.beta = self.kl_weight = beta
        self.changed_factors = changed_factors
        self.differing = differing
        self.divergence: Divergence = divergence

    def average(self, first: GaussianPosterior, second: GaussianPosterior) -> GaussianPosterior:
        """Return the posterior that stands for both images of each pair, (B, J)."""
        variance = (first.logvar.exp() + second.logvar.exp()) / 2
        return GaussianPosterior((first.mean + second.mean) / 2, variance.log())

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        if len(x) % 2:
            raise UserError(f"{type(self).__name__} sees pairs: {len(x)} images in a batch must be an even number.")
        q = self.encode(x)
        first, second = (GaussianPosterior(*halves) for halves in zip(*(half.chunk(2) for half in q), strict=True))
        shared = find_shared(divergences(first, second, self.divergence).detach(), self.differing)
        both = self.average(first, second)
        pair = [
            GaussianPosterior(*(torch.where(shared, b, a) for a, b in zip(own, both, strict=True)))
            for own in (first, second)
        ]
        # Each half draws its own noise, because processes share both halves and not the whole.
        z = torch.cat([own.sample() for own in pair])
        terms = elbo_terms(self.decode(z), GaussianPosterior(*map(torch.cat, zip(*pair, strict=True))), x)
        beta = self.now(self.beta)
        loss = terms["rec"] + beta * terms["kl"]
        count = shared.sum(dim=1).to(loss.dtype).mean()
        return {"loss": loss, **terms, "shared": count, **scheduled(beta=beta)}
