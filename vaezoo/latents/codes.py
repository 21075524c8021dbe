"""The latent space of InfoGAN and similar models: codes that can be inferred from an image, and noise that cannot."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vaezoo.latents.draws import Prior, draw, draw_codes
from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.latents.mixed import Mixed, MixedPosterior
from vaezoo.ranges import Categories, Count, Natural, Positive

# The smallest log variance of a code. A squared error of codes lowers it without limit, and at -88 the density of a
# drawn code overflows. In float32 a narrower posterior has the same draws for codes of about 1.
NARROWEST = -40.0


class Codes(Mixed):
    """Continuous codes c, categories s, and noise that has no posterior.

    There are `dim` continuous codes with the prior U(-1, 1) or N(0, 1), `categories` as in Mixed, and `noise` numbers
    with a prior of their own. A code is [c, s]; a generator takes [c, s, noise] with one-hot s, and `mode` draws the
    noise. The deviation of the posterior of c is exp(v / 2) or softplus(v) of the encoder's output v, by `scale`.
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
        """Return how many numbers a code has: those of c and s."""
        return self.dim - self.noise

    @property
    def entropies(self) -> tuple[float, float]:
        """Return the entropies of the prior in nats: of all continuous codes, which can be negative, and of s."""
        entropy = math.log(2) if self.prior == "uniform" else 0.5 * math.log(2 * math.pi * math.e)
        return self.continuous * entropy, sum(math.log(values) for values in self.categories)

    def posterior(self, params: Tensor) -> MixedPosterior:
        """Return the posteriors of c and s from an encoder's output, as in Mixed."""
        q = super().posterior(params)
        mean, logvar = q.continuous
        if self.scale == "softplus":
            # For very negative v, log softplus(v) is v, but softplus would round to 0.
            log_sigma = torch.where(logvar < -15, logvar, F.softplus(logvar.clamp(min=-15)).log())
            logvar = 2 * log_sigma
        # The limit does not stop the gradient, so that a posterior that is too narrow can become wider again.
        floored = logvar + (logvar.clamp(min=NARROWEST) - logvar).detach()
        return q._replace(continuous=GaussianPosterior(mean, floored))

    def sample_codes(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """Draw [c, s] from the prior, (count, width)."""
        return draw_codes(self.prior, count, self.continuous, self.categories, device)

    def sample_noise(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """Draw the noise from its prior, (count, noise)."""
        return draw(self.noise_prior, count, self.noise, device)

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """Draw [c, s, noise] from the prior, (count, dim)."""
        return torch.cat([self.sample_codes(count, device=device), self.sample_noise(count, device=device)], dim=1)

    def mode(self, codes: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return [c, s, noise], (B, dim), for codes (B, width), with one-hot s; noise that is not given is drawn."""
        if noise is None:
            noise = self.sample_noise(len(codes), device=codes.device).to(codes)
        return torch.cat([super().mode(codes), noise], dim=1)
