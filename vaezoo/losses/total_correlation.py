"""Where the KL divergence comes from: index-code information, total correlation, dimension-wise KL; nats per image.

Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018, eq. 2.
With the aggregate posterior q(z) = (1/N) sum_n q(z|x_n) of all N training images,

    E_x KL(q(z|x) || p(z)) = MI + TC + dwKL
    MI   = E[ log q(z|x) - log q(z) ]               what a code tells about which image it came from
    TC   = E[ log q(z) - sum_d log q(z_d) ]         how far the latents are from independent
    dwKL = E[ sum_d log q(z_d) - log p(z) ]         how far each of them is from its prior

A batch of B knows q(z) only through estimates, log q(z_i) ~ log sum_j w_ij q(z_i|x_j), with the weights w_ij of

    mws           1/(NB)                                           minibatch weighted sampling (their equation 3)
    mss           1/N if j = i;  (N-M)/(NM) if j = i+1;  else 1/M  minibatch stratified sampling, M = B-1
    mss_uniform   1/N if j = i;  (N-1)/(NM) else                   mss averaged over which j gets the odd weight

Rows of the last two sum to 1 and are unbiased for q(z), though not for its logarithm; with N = B, mss_uniform is exact.
Rows of mws sum to 1/N, so its densities are too low: MI is too large by up to ln N and TC by up to (J-1) ln N, dwKL too
small by up to J ln N. Its weights being all the same, N moves these values and no gradient. A negative TC under mss or
mss_uniform is no bug: the images near z are rarely in a batch much smaller than N, and missing them lowers log q(z)
more than the log q(z_d), where many others are near.
Errata. A public version of the stratified matrix, copied by others, puts 1/N in column 0 instead of the diagonal.
Without 1/(NB), as much code has it, TC is off by -(J-1) ln(NB): no gradient knows, but the logged value is another.
N is the size of the training split: B, or B over some weight of the KL, are guesses. What is estimated is the mean of
log q(z) and of each log q(z_d), not of q(z). Densities take the log variance, not a variance in the place of sigma, and
are summed as logarithms: exponentiated first they underflow.
"""

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from vaezoo.distributed import gather

Estimator = Literal["mws", "mss", "mss_uniform"]


class Decomposition(NamedTuple):
    mi: Tensor
    tc: Tensor
    dwkl: Tensor


def log_weights(estimator: Estimator, batch: int, images: Tensor | int) -> Tensor:
    """log w_ij, (B, B), for N = `images` >= `batch`; where N is, and of its precision if it is a floating-point tensor.

    A single image has no neighbours: its weight is 1/N under every estimator, and its terms mean little.
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
    """MI, TC and dwKL of one sample z_i ~ N(mean_i, diag exp(logvar_i)) an image; all (B, J), log_w (B, B).

    Their sum is the batch mean of log q(z|x) - log p(z), whatever the weights. The densities of all pairs are kept for
    the backward pass, a few arrays of B * B * J numbers: under 1 MB at B = 64 and J = 10, near 1 GB at B = 2048.
    """
    with torch.autocast(z.device.type, enabled=False):
        dtype = torch.promote_types(z.dtype, torch.float32)
        z, mean, logvar, log_w = (t.to(dtype) for t in (z, mean, logvar, log_w))
        pairs = log_normal(z[:, None], mean, logvar)  # (B, B, J): z_i under the posterior of image j
        log_qz_x = log_normal(z, mean, logvar).sum(1)
        log_qz = torch.logsumexp(log_w + pairs.sum(2), dim=1)
        log_qz_d = torch.logsumexp(log_w[:, :, None] + pairs, dim=1).sum(1)
        log_pz = log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(1)
        return Decomposition((log_qz_x - log_qz).mean(), (log_qz - log_qz_d).mean(), (log_qz_d - log_pz).mean())


def batch_decomposition(z: Tensor, q: Any, estimator: Estimator, train_images: Tensor) -> Decomposition:
    """That of a step's codes z (B, J) and their Gaussian posteriors, all of them where several processes share it."""
    z, mean, logvar = map(gather, (z, q.mean, q.logvar))
    images = train_images.clamp(min=len(z)).to(z.dtype)
    return kl_decomposition(z, mean, logvar, log_weights(estimator, len(z), images))


def log_normal(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    return -0.5 * ((z - mean).square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi))
