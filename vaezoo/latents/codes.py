"""Codes that can be read from an image, beside noise that cannot."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vaezoo.latents.draws import Prior, draw, draw_one_hot
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.latents.mixed import Mixed, MixedPosterior
from vaezoo.ranges import Categories, Count, Natural, Positive

# Log variance of a code. A squared error of codes pulls it down without end, and at -88 the density of a drawn code
# overflows; a narrower posterior than this has the same draws in single precision, for codes of about 1.
NARROWEST = -40.0


class Codes(Mixed):
    """What InfoGAN and its kin generate from: codes that can be read from an image, and noise that cannot.

    `dim` continuous codes of the prior U(-1, 1) or N(0, 1), `categories` as in Mixed, and `noise` numbers of their own
    prior. A code is [c, s]; a generator takes [c, s, noise], one-hot s, which `mode` completes by fresh noise. The
    spread of the posterior comes from the encoder as exp(v / 2), v its log variance, or as `softplus` of what it gives.
    """

    def __init__(
        self,
        dim: Natural,
        categories: Categories,
        temperature: Positive,
        noise: Count,
        prior: Prior,
        noise_prior: Prior,
        scale: Literal["exp", "softplus"],
    ) -> None:
        super().__init__(dim, categories, temperature)
        self.noise, self.noise_prior = noise, noise_prior
        self.prior = prior
        self.scale = scale
        self.dim += noise

    @property
    def width(self) -> int:
        """Numbers in a code: continuous ones and those of the categories."""
        return self.dim - self.noise

    @property
    def entropies(self) -> tuple[float, float]:
        """Of the prior, nats: of all continuous codes (a density's, which may be negative), of all categories."""
        one = math.log(2) if self.prior == "uniform" else 0.5 * math.log(2 * math.pi * math.e)
        return self.continuous * one, sum(math.log(values) for values in self.categories)

    def posterior(self, params: Tensor) -> MixedPosterior:
        q = super().posterior(params)
        mean, logvar = q.continuous
        if self.scale == "softplus":
            # log softplus(v) for very negative v is v itself; softplus would round to 0.
            log_sigma = torch.where(logvar < -15, logvar, F.softplus(logvar.clamp(min=-15)).log())
            logvar = 2 * log_sigma
        # The gradient passes: a posterior that is too narrow can widen again.
        floored = logvar + (logvar.clamp(min=NARROWEST) - logvar).detach()
        return q._replace(continuous=GaussianPosterior(mean, floored))

    def sample_codes(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """`count` draws of [c, s] from the prior."""
        c = draw(self.prior, count, self.continuous, device)
        return torch.cat([c, *draw_one_hot(self.categories, c)], dim=1)

    def sample_noise(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        return draw(self.noise_prior, count, self.noise, device)

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """`count` draws of [c, s, noise]: (count, dim)."""
        return torch.cat([self.sample_codes(count, device=device), self.sample_noise(count, device=device)], dim=1)

    def mode(self, codes: Tensor) -> Tensor:
        """[c, s, noise] of codes (B, width): s one-hot, the noise drawn."""
        noise = self.sample_noise(len(codes), device=codes.device).to(codes)
        return torch.cat([super().mode(codes), noise], dim=1)
