"""Published code and equations that do not compute what their papers say, written anew to measure what that changes.

Nothing here is used by the library, and nothing is anybody's code. Each piece is named after what it gets wrong and
says who publishes it, as the versions that we read have it; later ones may differ. tests/models/test_mistakes.py
measures nats, tests/models/test_mistakes_slow.py trains the models at the end of this file, docs/lessons.md sums up.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from scipy.special import logsumexp
from torch import Tensor

from vaezoo.latents.gaussian import GaussianPosterior
from vaezoo.losses.elbo import elbo_terms
from vaezoo.losses.mmd import mmd2
from vaezoo.losses.total_correlation import kl_decomposition, log_weights
from vaezoo.models.annealedvae import AnnealedVAE
from vaezoo.models.base import Terms
from vaezoo.models.betatcvae import BetaTCVAE
from vaezoo.models.betavae import BetaVAE
from vaezoo.models.dipvae import DIPVAE, batch_moments, covariance, covariance_gap
from vaezoo.models.factorvae import FactorVAE, discriminator_loss, permute_dims
from vaezoo.models.vae import VAE

# ---- total correlation -----------------------------------------------------------------------------------------


def stratified_in_columns(batch: int, images: Tensor | int) -> Tensor:
    """log w_ij of stratified sampling with 1/N in column 0 and the odd weight in column 1, (B, B).

    The repository of beta-TCVAE's authors, copied by disentangling-vae, pythae and PyTorch-VAE: a stride of M + 1 = B
    walks down a column. Right: the diagonal and the entry after it, `log_weights("mss")`. From the third image on a
    code's own posterior weighs 1/M instead of 1/N.
    """
    n, m = torch.as_tensor(images), batch - 1
    odd = (n - m).log() - n.log() - math.log(m)
    weights = torch.full((batch, batch), -math.log(m), dtype=odd.dtype, device=n.device)
    weights[:, 0], weights[:, 1], weights[m - 1, 0] = -n.log(), odd, odd
    return weights


def without_constant(batch: int) -> Tensor:
    """log w_ij = 0, (B, B).

    Schik's code, disentanglement_lib, disent and disentanglement-pytorch leave out the 1/(NB) of weighted sampling.
    """
    return torch.zeros(batch, batch, dtype=torch.float64)


def set_of_one_batch(batch: int) -> Tensor:
    """log w_ij of weighted sampling for N = B, pythae's default for the size of the data set; (B, B)."""
    return log_weights("mws", batch, torch.tensor(float(batch), dtype=torch.float64))


def variance_as_deviation(logvar: Tensor) -> Tensor:
    """The log variance of a density that is handed sigma^2 where it expects sigma: Schik's total correlation."""
    return 2 * logvar


# ---- scales ----------------------------------------------------------------------------------------------------


def softplus_of_scale(logvar: Tensor) -> Tensor:
    """The log variance after a second positive map, sigma' = softplus(sigma) > ln 2: Schik's posteriors."""
    return 2 * F.softplus((0.5 * logvar).exp()).log()


def beta_of_pixel_means(kld_weight: float, *shape: int) -> float:
    """The beta that `mean squared error + kld_weight KL` trains with: kld_weight P, P the numbers of an image.

    PyTorch-VAE throughout, kld_weight = 0.00025 as shipped; for the likelihood whose rec is the squared error summed.
    """
    return kld_weight * math.prod(shape)


def mean_over_channels(rec: Tensor, channels: int) -> Tensor:
    """Reconstruction with channels averaged and positions summed: JointVAE's author, and Schik's autoencoder."""
    return rec / channels


def modulus_of_each_image(kl: Tensor, capacity: float) -> Tensor:
    """mean |KL_i - C| of kl (B,): pythae. Right: |mean KL_i - C|, images may differ in what they need."""
    return (kl - capacity).abs().mean()


# ---- DIP-VAE ---------------------------------------------------------------------------------------------------


def scalar_everywhere(mean: Tensor, variance: Tensor) -> Tensor:
    """C of type ii with one number added to all its entries, (J, J): PyTorch-VAE, disent, disentanglement-pytorch.

    The "diagonal" of the (B, J) matrix of variances is latent i of image i; its mean broadcasts. Right: the mean
    variance of each latent, on the diagonal of C alone.
    """
    return covariance(batch_moments(mean, variance.log()), "i") + variance.diagonal().mean()


def scatter_over_latents(mean: Tensor) -> Tensor:
    """Each image centred over its latents and no 1/B, (J, J): PyTorch-VAE. Right: each latent over the batch, 1/B."""
    centred = mean - mean.mean(1, keepdim=True)
    return centred.T @ centred


def variance_squared(logvar: Tensor) -> Tensor:
    """exp(2 logvar) = sigma^4 where sigma^2 belongs: PyTorch-VAE's DIP-VAE."""
    return (2 * logvar).exp()


# ---- FactorVAE, InfoVAE, InfoGAN, cross-entropy ------------------------------------------------------------------


def permuted_rows(z: Tensor) -> Tensor:
    """The latents of each image change places, (B, J): PyTorch-VAE. Right: each latent, over the images."""
    return z.gather(1, torch.rand_like(z).argsort(1))


def mmd2_of_averaged_distances(z: Tensor, y: Tensor, spread: float = 2.0) -> Tensor:
    """MMD^2 with exp(-mean_j (a_j - b_j)^2 / (2 J spread)) for a kernel: PyTorch-VAE's rbf, spread 2 as shipped.

    The mean over J, and J once more: a bandwidth of 2 J^2 spread where squared distances are around 2 J.
    """
    latents = z.shape[1]
    return mmd2(z, y, "rbf", 2 * latents**2 * spread)


def weight_by_pairs(weight: float, batch: int) -> float:
    """A weight divided by B (B - 1), which belongs to a sum over pairs, in front of a mean over pairs: PyTorch-VAE."""
    return weight / (batch * (batch - 1))


def information_under_a_normal_prior(codes: Tensor, log_q: Tensor) -> Tensor:
    """mean log q(c|x) - log N(c; 0, 1) for codes of U(-1, 1), nats a code: the log of InfoGAN's authors.

    Right: ln 2 + mean log q(c|x), the entropy of the prior that they are drawn from.
    """
    return (log_q + 0.5 * (codes.square() + math.log(2 * math.pi))).mean()


def cross_entropy_without_logarithm(probabilities: Tensor, labels: Tensor) -> Tensor:
    """mean p(y_i): equation 12 of Ye & Bors (2021) as printed, up to its sign. Right: -mean ln p(y_i)."""
    return probabilities.gather(1, labels[:, None]).mean()


# ---- metrics ---------------------------------------------------------------------------------------------------


def laplacian_variance_in_bytes(images: np.ndarray) -> np.ndarray:
    """(N,) of uint8 images (N, H, W) whose Laplacian stays uint8, so that what is negative becomes 0."""
    wide = np.pad(images.astype(int), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    sides = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]
    return np.clip(sides - 4 * images.astype(int), 0, 255).var(axis=(1, 2))


def entropies_of_reshaped_draws(means: np.ndarray, sigmas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of each latent's aggregate posterior, (J,), from a draw of each row (N, J): disentangling-vae's MIG.

    Draws (N, J) become (J, N) by a reshape, so that those of one latent are judged by the densities of others. Right: a
    transpose.
    """
    draws = (means + sigmas * rng.standard_normal(means.shape)).reshape(means.shape[::-1])
    parts = zip(draws, means.T, sigmas.T, strict=True)
    log_q = [logsumexp(stats.norm.logpdf(z[:, None], mean, sigma), axis=1) for z, mean, sigma in parts]
    return math.log(len(means)) - np.mean(log_q, axis=1)


# ---- models that are trained so --------------------------------------------------------------------------------


class ColumnsTCVAE(BetaTCVAE):
    """beta-TCVAE, form="elbo", on `stratified_in_columns`."""

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        z = q.sample()
        terms = elbo_terms(self.decode(z), q, x)
        log_w = stratified_in_columns(len(z), self.train_images.to(z.dtype))
        tc = kl_decomposition(z, q.mean, q.logvar, log_w).tc
        return {"loss": terms["rec"] + terms["kl"] + (self.now(self.beta) - 1) * tc, **terms, "tc": tc}


class ScalarDIPVAE(DIPVAE):
    """DIP-VAE-II on `scalar_everywhere`."""

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        terms = elbo_terms(self.decode(q.sample()), q, x)
        off_diagonal, diagonal = covariance_gap(scalar_everywhere(q.mean, q.logvar.exp()))
        penalty = self.now(self.lambda_od) * off_diagonal + self.now(self.lambda_d) * diagonal
        return {"loss": terms["rec"] + terms["kl"] + penalty, **terms, "dip_od": off_diagonal, "dip_d": diagonal}


class RowsFactorVAE(FactorVAE):
    """FactorVAE on `permuted_rows`."""

    def permuted(self, z: Tensor, second: Tensor) -> Tensor:
        return permuted_rows(second)

    def discriminator_objective(self, x: Tensor, drawn: Terms) -> Terms:
        with torch.no_grad():
            permuted = self.permuted(drawn["z"], self.encode(x.chunk(2)[1]).sample())
        return {"loss": discriminator_loss(self.discriminator(drawn["z"]), self.discriminator(permuted))}


class OneBatchFactorVAE(RowsFactorVAE):
    """FactorVAE whose permuted codes are those of the same batch: disentanglement_lib. The paper draws a second one."""

    def permuted(self, z: Tensor, second: Tensor) -> Tensor:
        return permute_dims(z)


class PixelMeansVAE(BetaVAE):
    """Errors averaged over pixels; `beta` is a kld_weight."""

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        terms = super().objective(x, labels)
        return {**terms, "loss": terms["rec"] / x[0].numel() + self.now(self.beta) * terms["kl"]}


class EachImageAnnealedVAE(AnnealedVAE):
    """The capacity-annealed VAE on `modulus_of_each_image`."""

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        q = self.encode(x)
        terms = elbo_terms(self.decode(q.sample()), q, x)
        charged = modulus_of_each_image(q.kl().sum(1), self.now(self.capacity))
        return {"loss": terms["rec"] + self.now(self.gamma) * charged, **terms}


class SoftplusVAE(VAE):
    """The VAE on `softplus_of_scale`."""

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Any:
        q = super().encode(x, labels)
        return GaussianPosterior(q.mean, softplus_of_scale(q.logvar))
