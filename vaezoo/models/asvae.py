"""Adversarial symmetric VAE (Pu et al., 2017): both joint distributions of image and code, each with its own critic.

    critics   minimise   -mean ln D1(x, z^) - mean ln(1 - D1(x~, z')) - mean ln D2(x~, z) - mean ln(1 - D2(x, z^'))
    pair      minimises  -lambda (mean ln p(x|z^) + mean ln q(z|x~)) + mean f1(x, z^) + mean f2(x~, z)

f are the critics' logits. x are images and z^ their codes, z^' the same codes in random order; z and z' are independent
draws from the prior, and x~ is generated from z. Each critic separates a joint distribution from the product of the
*other* side's marginals, so that the optimal ones are, with q(x) the data,

    f1* = ln q(x, z) - ln p(x) p(z),        L_x = mean[ln p(x|z^) - f1*] = mean ln p(x) - KL(q(x, z) || p(x, z))
    f2* = ln p(x, z) - ln q(x) q(z),        L_z = mean[ln q(z|x~) - f2*] = mean ln q(z) - KL(p(x, z) || q(x, z))

At lambda = 1 and the optimal critics the pair's gradient is that of KL(q || p) + KL(p || q), not of -(L_x + L_z),
because p(x) and q(z) are constants within fixed critics. With lambda below 1 codes tell less of their image than at
equal joint distributions, above 1 more.

ln p(x|z) is that of the likelihood, without its constant: by default a Gaussian of variance 1 on images in [0, 1]
(likelihood.variance=0.25 is variance 1 on [-1, 1]). Summed over pixels it outweighs f; lambda and the variance balance
them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from vaezoo.distributed import shuffle_rows
from vaezoo.losses.gan import critic_accuracy, critic_loss
from vaezoo.losses.schedules import scheduled
from vaezoo.models.adversarial import AdversarialModel
from vaezoo.models.base import Terms
from vaezoo.numerics import full_precision
from vaezoo.ranges import Weight


def normalise_spectra(network: nn.Module) -> nn.Module:
    """Divide the weights of each layer by their largest singular value (Miyato et al., 2018); return the network."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            parametrizations.spectral_norm(layer)
    return network


class ASVAE(AdversarialModel):
    """A VAE whose joint distribution of image and code is matched in both directions by two critics.

    x~ is the mean of p(x|z), or with `sample_pixels` a draw, for which alone the statements above are exact: a mean
    determines its z, so ln q(z|x~) has no bound. Neither have logits of images that do not overlap; `spectral_norm`
    limits the critics' slope, but also the log ratio that they have to reach, and small images then turn to noise.
    """

    paper = "Pu et al. (2017). Adversarial Symmetric Variational Autoencoder. NeurIPS. arXiv:1711.04915"
    compares_images = "the permutation of AS-VAE"
    requires = {"not sample_pixels or 'variance' in likelihood": "Gaussian pixels, which likelihood=gaussian has"}
    recalibrates = True

    def __init__(
        self,
        *,
        lambda_rec: Weight,
        spectral_norm: bool,
        sample_pixels: bool,
        critic: Callable[..., nn.Module],
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.lambda_rec = lambda_rec
        self.sample_pixels = sample_pixels
        self.f1, self.f2 = (critic(self.image_shape, condition=self.latent.dim) for _ in range(2))
        if spectral_norm:
            normalise_spectra(self.f1)
            normalise_spectra(self.f2)

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"critics": [self.f1, self.f2], "pair": [self.encoder, self.decoder]}

    def draw(self, x: Tensor) -> Terms:
        return {"z": self.prior_like(x)}

    def prior_like(self, x: Tensor) -> Tensor:
        """Return a draw from the prior for each image, (B, J)."""
        z: Tensor = self.latent.sample_prior(len(x), device=x.device).to(x)
        return z

    def infer_and_generate(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return a code (B, J) of each image, and an image (B, C, H, W) of each code."""
        p = self.decode(z)
        return self.encode(x).sample(), p.sample() if self.sample_pixels else p.mean

    def critics_objective(self, x: Tensor, drawn: Terms) -> Terms:
        z = drawn["z"]
        with torch.no_grad():
            codes, fakes = self.infer_and_generate(x, z)
        # Of B codes in random order one is, on average, still at its own image.
        unrelated, others = self.prior_like(x), shuffle_rows(codes)
        first = self.f1(x, codes), self.f1(fakes, unrelated)
        second = self.f2(fakes, z), self.f2(x, others)
        terms = {"loss": critic_loss(*first) + critic_loss(*second)}
        for name, logits in (("f1", first), ("f2", second)):
            terms |= {f"{name}_{key}": share for key, share in critic_accuracy(*logits).items()}
        return terms

    def pair_objective(self, x: Tensor, drawn: Terms) -> Terms:
        z = drawn["z"]
        codes, fakes = self.infer_and_generate(x, z)
        rec = self.decode(codes).rec(x).mean()
        rec_z = -self.encode(fakes).log_prob(z).sum(1).mean()
        f1, f2 = full_precision(self.f1(x, codes)).mean(), full_precision(self.f2(fakes, z)).mean()
        weight = self.now(self.lambda_rec)
        loss = weight * (rec + rec_z) + f1 + f2
        return {"loss": loss, "rec": rec, "rec_z": rec_z, "f1": f1, "f2": f2, **scheduled(lambda_rec=weight)}
