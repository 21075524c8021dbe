"""GMVAE (Dilokthanakul et al., 2016): a mixture prior, formed by a second latent w, for clustering.

    w ~ N(0, I),  k uniform over K,  h ~ N(mean_k(w), var_k(w)),  x ~ p(x|h)

    minimise  rec + KL_w + COND + max(free_kl, mean KL_k)

q(h|x) and q(w|x) are Gaussian; the posterior of k is computed from them. COND + KL_k is the divergence of h from the
mixture (vaezoo.losses.mixture). While the mean of KL_k is below `free_kl` it has no gradient, because otherwise each
image would begin by using all clusters alike.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vaezoo.distributed import average
from vaezoo.latents.draws import draw, draw_integers
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.mixture import Form, mixture_kl, responsibilities
from vaezoo.losses.schedules import scheduled
from vaezoo.models.base import LatentModel, Terms
from vaezoo.numerics import full_precision
from vaezoo.ranges import Count, Several, Weight

Components = Callable[[Tensor], tuple[Tensor, Tensor]]  # w (B, W) to means and log variances (B, K, H)


class Draw(NamedTuple):
    """A draw of (h, w) for each image, and its divergences."""

    h: Tensor  # (B, H)
    kl_w: Tensor  # (B,), as the two below
    cond: Tensor
    kl_k: Tensor

    def kl(self) -> Tensor:
        """Return KL_w, COND and KL_k: (B, 3)."""
        return torch.stack([self.kl_w, self.cond, self.kl_k], dim=1)


class GMPosterior(NamedTuple):
    """q(h|x) q(w|x), and the function from w to the components. The code of an image is the mean of h."""

    h: GaussianPosterior
    w: GaussianPosterior
    components: Components
    form: Form

    @property
    def mean(self) -> Tensor:
        return self.h.mean

    @property
    def clusters(self) -> Tensor:
        """Return q(k|x) at the means of h and w, (B, K)."""
        return responsibilities(self.h.mean, *self.components(self.w.mean))

    def draw(self) -> Draw:
        """Draw h and w for each image."""
        h, w = self.h.sample(), self.w.sample()
        cond, kl_k = mixture_kl(h, *self.h, *self.components(w), self.form)
        return Draw(h, self.w.kl().sum(1), cond, kl_k)

    def sample(self, *, relaxed: bool = True) -> Tensor:
        return self.h.sample()

    def kl(self) -> Tensor:
        """Return KL_w, COND and KL_k at one draw: (B, 3)."""
        return self.draw().kl()


class GMVAE(LatentModel):
    """A VAE with a mixture prior of h, the space that `latent` is; `samples` draws of (h, w) are averaged."""

    paper = (
        "Dilokthanakul et al. (2016). Deep Unsupervised Clustering with Gaussian Mixture Variational Autoencoders."
        " arXiv:1611.02648"
    )

    def __init__(
        self,
        *,
        clusters: Several,
        w_dim: Count,
        cond: Form,
        free_kl: Weight,
        samples: Count,
        prior: Callable[..., nn.Module],
        encoder: Callable[..., nn.Module],
        **parts: Any,
    ) -> None:
        super().__init__(encoder=lambda shape, params: encoder(shape, params + 2 * w_dim), **parts)
        self.clusters, self.w_dim, self.samples = clusters, w_dim, samples
        self.cond: Form = cond
        self.free_kl = free_kl
        self.prior = prior(w_dim, 2 * clusters * self.latent.dim)

    def components(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means and log variances of the components, (B, K, H) each, for w (B, W)."""
        means, logvars = self.prior(w).unflatten(1, (2, self.clusters, self.latent.dim)).unbind(1)
        return full_precision(means), full_precision(logvars)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> GMPosterior:
        params = full_precision(self.encoder(x))
        h_mean, h_logvar, w_mean, w_logvar = params.split([self.latent.dim] * 2 + [self.w_dim] * 2, dim=1)
        h, w = GaussianPosterior(h_mean, h_logvar), GaussianPosterior(w_mean, w_logvar)
        return GMPosterior(h, w, self.components, self.cond)

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        parameter = next(self.parameters())
        w = draw("normal", count, self.w_dim, device)
        k = draw_integers(self.clusters, count, device)
        noise = draw("normal", count, self.latent.dim, device)
        with torch.no_grad():
            means, logvars = (
                part.to(device)[torch.arange(count, device=device), k] for part in self.components(w.to(parameter))
            )
        return means + torch.exp(0.5 * logvars) * noise

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        h, w = (GaussianPosterior(*(part.repeat_interleave(self.samples, 0) for part in p)) for p in (q.h, q.w))
        sample = GMPosterior(h, w, self.components, self.cond).draw()
        terms = elbo_terms(self.decode(sample.h), sample, x.repeat_interleave(self.samples, 0))
        kl_w, cond, kl_k = terms.pop("kl_per_dim")
        free_kl = self.now(self.free_kl)
        loss = terms["rec"] + kl_w + cond + torch.clamp(average(kl_k), min=free_kl)
        return {"loss": loss, **terms, "kl_w": kl_w, "cond": cond, "kl_k": kl_k, **scheduled(free_kl=free_kl)}
