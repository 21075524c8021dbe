"""The components of the KL divergence: index-code information, total correlation, dimension-wise KL; nats per image.

Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018, eq. 2.
With the aggregate posterior q(z) = (1/N) sum_n q(z|x_n) of all N training images,

    E_x KL(q(z|x) || p(z)) = MI + TC + dwKL
    MI   = E[ log q(z|x) - log q(z) ]               index-code mutual information
    TC   = E[ log q(z) - sum_d log q(z_d) ]         total correlation: 0 for independent latents
    dwKL = E[ sum_d log q(z_d) - log p(z) ]         divergence of each latent from its prior

In a batch of B images, q(z) is estimated by log q(z_i) ~ log sum_j w_ij q(z_i|x_j), and q(z_d) likewise, with weights

    mws           1/(NB)                                           minibatch weighted sampling (their equation 3)
    mss           1/N if j = i;  (N-M)/(NM) if j = i+1;  else 1/M  minibatch stratified sampling, M = B-1
    mss_uniform   1/N if j = i;  (N-1)/(NM) else                   the mean of mss over the images that can be i+1

N is the size of the training split. The rows of mss and mss_uniform sum to 1. Their estimates of q(z) are unbiased,
though those of its logarithm are not; with N = B, mss_uniform is exact. The rows of mws sum to 1/N, so its densities
are too low: MI is too large by up to ln N, TC by up to (J-1) ln N, and dwKL is too small by up to J ln N. All its
weights are equal, so N changes these values but no gradient.

A negative TC under mss or mss_uniform is no error. A batch much smaller than N rarely has the images whose codes are
near z. Without them log q(z) is too low, and more so than the log q(z_d), for which many other images are near.
"""

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from vaezoo.distributed import gather

Estimator = Literal["mws", "mss", "mss_uniform"]


class Decomposition(NamedTuple):
    """MI, TC and dwKL of a batch, scalars in nats per image."""

    mi: Tensor
    tc: Tensor
    dwkl: Tensor


def log_weights(estimator: Estimator, batch: int, images: Tensor | int) -> Tensor:
    """Return log w_ij, (B, B), for B = `batch` and N = `images` >= B, on the device of N.

    A floating-point N also sets the precision. A single image has the weight 1/N under every estimator, and its terms
    have little meaning. Raises ValueError for an unknown estimator.
    """
    n = torch.as_tensor(images)
    log_n, m = n.log(), max(batch - 1, 1)
    if estimator == "mws":
        return (-log_n - math.log(batch)).expand(batch, batch)
    own = torch.eye(batch, dtype=torch.bool, device=n.device)
    if estimator == "mss":
        odd = (n - m).log() - log_n - math.log(m)
        others = torch.where(own.roll(1, dims=1), odd, -math.log(m))
    elif estimator == "mss_uniform":
        others = (n - 1).log() - log_n - math.log(m)
    else:
        raise ValueError(f"estimator={estimator!r}: expected 'mws', 'mss' or 'mss_uniform'")
    return torch.where(own, -log_n, others)


def kl_decomposition(z: Tensor, mean: Tensor, logvar: Tensor, log_w: Tensor) -> Decomposition:
    """Return MI, TC and dwKL from one sample z_i ~ N(mean_i, diag exp(logvar_i)) of each image.

    `z`, `mean` and `logvar` are (B, J), `log_w` (B, B). For any weights the sum of the terms is the batch mean of
    log q(z|x) - log p(z). The backward pass needs a few arrays of B * B * J numbers: less than 1 MB at B = 64 and
    J = 10, about 1 GB at B = 2048.
    """
    with torch.autocast(z.device.type, enabled=False):
        dtype = torch.promote_types(z.dtype, torch.float32)
        z, mean, logvar, log_w = (t.to(dtype) for t in (z, mean, logvar, log_w))
        pairs = log_normal(z[:, None], mean, logvar)  # (B, B, J): log q(z_i,d|x_j)
        log_qz_x = log_normal(z, mean, logvar).sum(1)
        log_qz = torch.logsumexp(log_w + pairs.sum(2), dim=1)
        log_qz_d = torch.logsumexp(log_w[:, :, None] + pairs, dim=1).sum(1)
        log_pz = log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(1)
        return Decomposition((log_qz_x - log_qz).mean(), (log_qz - log_qz_d).mean(), (log_qz_d - log_pz).mean())


def batch_decomposition(z: Tensor, q: Any, estimator: Estimator, train_images: Tensor) -> Decomposition:
    """Return the terms of a training step from its codes z (B, J) and Gaussian posteriors q.

    Where several processes share the step, their codes are gathered first. `train_images` is N; where nobody has set
    it, it is 0, and the terms are NaN, because those of any other number would be wrong in silence.
    """
    z, mean, logvar = map(gather, (z, q.mean, q.logvar))
    images = train_images.clamp(min=len(z)).to(z.dtype).masked_fill(train_images == 0, torch.nan)
    return kl_decomposition(z, mean, logvar, log_weights(estimator, len(z), images))


def log_normal(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """Return log N(z; mean, exp(logvar)) of every entry."""
    return -0.5 * ((z - mean).square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi))
