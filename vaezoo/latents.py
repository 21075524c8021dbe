"""Latent spaces: a prior, and the posterior that an encoder's output stands for.

A space says how many numbers an encoder has to give (`num_params`), how many a decoder takes (`dim`) and how many of
them a code has (`width`: all of them, unless there is noise besides). A posterior has `mean`, the code of an image;
`sample()`, one reparameterised draw per image; and, where there is a density, `kl()`.
A space may hold categories: a code then carries their probabilities, which `mode` turns into what is decoded.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vaezoo.precision import full_precision
from vaezoo.processes import exponential_like, normal_like, rows

# Log variance of a code. A squared error of codes pulls it down without end, and at -88 the density of a drawn code
# overflows; a narrower posterior than this has the same draws in single precision, for codes of about 1.
NARROWEST = -40.0

Prior = Literal["normal", "uniform"]  # N(0, 1) | U(-1, 1)


class GaussianPosterior(NamedTuple):
    """q(z|x) = N(mean, diag exp(logvar)); both (B, J).

    A softplus of exp(s) as the standard deviation, as some code has it, can never be narrower than ln 2 = 0.69.
    """

    mean: Tensor
    logvar: Tensor

    def sample(self, *, relaxed: bool = True) -> Tensor:
        """mean + sigma * eps with eps ~ N(0, I); (B, J)."""
        return self.at(normal_like(self.mean))

    def at(self, eps: Tensor) -> Tensor:
        """The draw that this noise makes, mean + sigma * eps; (B, J)."""
        return self.mean + torch.exp(0.5 * self.logvar) * eps

    def kl(self) -> Tensor:
        """KL(q(z_j|x) || N(0, 1)) for each image and dimension, nats; (B, J).

        In closed form: log q(z|x) - log p(z) at a draw, as some code has it, is the same on average, with more noise.
        """
        return 0.5 * (self.mean.square() + self.logvar.exp() - self.logvar - 1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z_j|x) for each dimension; z (B, J) -> (B, J)."""
        return -0.5 * ((z - self.mean).square() * torch.exp(-self.logvar) + self.logvar + math.log(2 * math.pi))


class CategoricalPosterior(NamedTuple):
    """q(s|x) over K categories, from `logits` (B, K); the prior is uniform."""

    logits: Tensor
    temperature: float

    @property
    def probabilities(self) -> Tensor:
        return self.logits.softmax(dim=1)

    def sample(self, *, relaxed: bool = True) -> Tensor:
        """(B, K): a Gumbel-softmax draw, softmax((logits + g) / temperature) (Jang et al.; Maddison et al., 2017).

        The largest entry is the drawn category, distributed by q(s|x) at any temperature; the mean of the relaxed draw
        is that distribution only as the temperature goes to 0. Not `relaxed`, it is one-hot and has no gradient.
        """
        gumbel = -exponential_like(self.logits).log()
        if relaxed:
            return relaxation(self.logits.log_softmax(dim=1), gumbel, self.temperature)
        return one_hot_of_largest((self.logits + gumbel).detach())

    def kl(self) -> Tensor:
        """KL(q(s|x) || uniform) = ln K + sum_k p_k ln p_k, in [0, ln K] nats; (B, 1).

        It is that of the category, and below that of its relaxed draw, so the bound on log p(x) is strict for draws
        that are not relaxed.
        """
        log_p = self.logits.log_softmax(dim=1)
        return math.log(self.logits.shape[1]) + (log_p.exp() * log_p).sum(dim=1, keepdim=True)

    def log_prob(self, s: Tensor) -> Tensor:
        """log q(s|x) of one-hot s (B, K), of no relaxed one; (B, 1)."""
        return (s * self.logits.log_softmax(dim=1)).sum(dim=1, keepdim=True)


class MixedPosterior(NamedTuple):
    """Independent Gaussian latents and categorical ones; codes and draws are [z, s_1, s_2, ...] in columns."""

    continuous: GaussianPosterior
    categorical: tuple[CategoricalPosterior, ...]

    @property
    def mean(self) -> Tensor:
        """The means of the Gaussians, then the probabilities of each category."""
        return torch.cat([self.continuous.mean, *(q.probabilities for q in self.categorical)], dim=1)

    @property
    def logvar(self) -> Tensor:
        """Of the Gaussians, the first columns."""
        return self.continuous.logvar

    @property
    def clusters(self) -> Tensor:
        """The probabilities of the first categorical variable, (B, K)."""
        return first_of([q.probabilities for q in self.categorical])

    def sample(self, *, relaxed: bool = True) -> Tensor:
        drawn = (q.sample(relaxed=relaxed) for q in self.categorical)
        return torch.cat([self.continuous.sample(), *drawn], dim=1)

    def kl(self) -> Tensor:
        """One column for each Gaussian latent, then one for each categorical variable, nats."""
        return torch.cat([self.continuous.kl(), *(q.kl() for q in self.categorical)], dim=1)

    def log_prob(self, codes: Tensor) -> Tensor:
        """log q(z, s_1, s_2, ...|x) of codes with one-hot categories (B, D), in the columns of kl."""
        z, *drawn = codes.split([self.continuous.mean.shape[1], *(q.logits.shape[1] for q in self.categorical)], dim=1)
        of_categories = (q.log_prob(s) for q, s in zip(self.categorical, drawn, strict=True))
        return torch.cat([self.continuous.log_prob(z), *of_categories], dim=1)


def first_of(probabilities: Sequence[Tensor]) -> Tensor:
    if not probabilities:
        raise AttributeError("clusters: there is no categorical latent")
    return probabilities[0]


class PointPosterior(NamedTuple):
    """A single code per image, without any noise: continuous numbers, and probabilities of categories."""

    continuous: Tensor
    probabilities: tuple[Tensor, ...] = ()

    @property
    def mean(self) -> Tensor:
        return torch.cat([self.continuous, *self.probabilities], dim=1)

    @property
    def clusters(self) -> Tensor:
        return first_of(self.probabilities)

    def sample(self, *, relaxed: bool = True) -> Tensor:
        return self.mean


class Gaussian:
    """A standard normal prior over `dim` latents and a Gaussian posterior with its own variances."""

    categories: tuple[int, ...] = ()

    def __init__(self, dim: int) -> None:
        self.dim = self.width = dim
        self.num_params = 2 * dim

    def posterior(self, params: Tensor) -> GaussianPosterior:
        """Encoder output (B, 2J), means first."""
        mean, logvar = full_precision(params).chunk(2, dim=1)
        return GaussianPosterior(mean, logvar)

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """`count` draws from the prior: (count, J)."""
        return draw("normal", count, self.dim, device)

    def mode(self, codes: Tensor) -> Tensor:
        """What is decoded for a code: the code itself."""
        return codes


class Mixed:
    """`dim` Gaussian latents and categorical variables with `categories` values each, all priors uniform.

    After construction `dim` counts what a decoder takes, the one-hot numbers of the categories included; `continuous`
    is the number of Gaussian latents.
    """

    def __init__(self, dim: int, categories: Sequence[int], temperature: float) -> None:
        self.continuous = dim
        self.categories = tuple(categories)
        self.temperature = temperature
        self.dim = dim + sum(self.categories)
        self.num_params = dim + self.dim

    @property
    def width(self) -> int:
        return self.dim

    def posterior(self, params: Tensor) -> MixedPosterior:
        """Encoder output (B, 2J + K_1 + K_2 + ...): means, log variances, logits."""
        mean, logvar, *logits = full_precision(params).split([self.continuous, self.continuous, *self.categories], 1)
        return MixedPosterior(
            GaussianPosterior(mean, logvar), tuple(CategoricalPosterior(each, self.temperature) for each in logits)
        )

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        """`count` draws from the prior, N(0, I) and one-hot uniform: (count, dim)."""
        z = draw("normal", count, self.continuous, device)
        return torch.cat([z, *draw_one_hot(self.categories, z)], dim=1)

    def mode(self, codes: Tensor) -> Tensor:
        """What is decoded for codes (B, dim): the means, and each category's probabilities made one-hot."""
        z, *probabilities = codes.split([self.continuous, *self.categories], dim=1)
        return torch.cat([z, *map(one_hot_of_largest, probabilities)], dim=1)


def relaxation(log_p: Tensor, gumbel: Tensor, temperature: float) -> Tensor:
    """softmax((ln p + g) / temperature), rows; one-hot as the temperature goes to 0, uniform as it grows."""
    return ((log_p + gumbel) / temperature).softmax(dim=1)


def one_hot_of_largest(values: Tensor) -> Tensor:
    return F.one_hot(values.argmax(dim=1), values.shape[1]).to(values.dtype)


class Codes(Mixed):
    """What InfoGAN and its kin generate from: codes that can be read from an image, and noise that cannot.

    `dim` continuous codes of the prior U(-1, 1) or N(0, 1), `categories` as in Mixed, and `noise` numbers of their own
    prior. A code is [c, s]; a generator takes [c, s, noise], one-hot s, which `mode` completes by fresh noise. The
    spread of the posterior comes from the encoder as exp(v / 2), v its log variance, or as `softplus` of what it gives.
    """

    def __init__(
        self,
        dim: int,
        categories: Sequence[int],
        temperature: float,
        noise: int,
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


class Point:
    """One code per image and no density; pictures are drawn from a prior that nothing or a critic holds it to.

    With `categories`, the code has the probabilities of each as columns after the `dim` continuous ones, and they are
    decoded as they are.
    """

    def __init__(self, dim: int, categories: Sequence[int] = (), prior: Prior = "normal") -> None:
        self.continuous = dim
        self.categories = tuple(categories)
        self.prior = prior
        self.dim = self.width = dim + sum(self.categories)
        self.num_params = self.dim

    def posterior(self, params: Tensor) -> PointPosterior:
        """Encoder output (B, dim): codes, then logits."""
        z, *logits = full_precision(params).split([self.continuous, *self.categories], dim=1)
        return PointPosterior(z, tuple(each.softmax(dim=1) for each in logits))

    def sample_prior(self, count: int, *, device: torch.device | str = "cpu") -> Tensor:
        z = draw(self.prior, count, self.continuous, device)
        return torch.cat([z, *draw_one_hot(self.categories, z)], dim=1)

    def mode(self, codes: Tensor) -> Tensor:
        return codes


def draw(prior: Prior, count: int, dim: int, device: torch.device | str) -> Tensor:
    """(count, dim) numbers from N(0, 1) or U(-1, 1)."""
    if prior == "normal":
        return rows(lambda n: torch.randn(n, dim, device=device), count)
    return 2 * rows(lambda n: torch.rand(n, dim, device=device), count) - 1


def draw_one_hot(categories: Sequence[int], like: Tensor) -> list[Tensor]:
    """A uniform one-hot draw of each category for each row of `like`, each (B, values)."""
    return [F.one_hot(draw_integers(values, len(like), like.device), values).to(like) for values in categories]


def draw_integers(values: int, count: int, device: torch.device | str) -> Tensor:
    """(count,) of 0 ... values - 1, each as likely."""
    return rows(lambda n: torch.randint(values, (n,), device=device), count)
