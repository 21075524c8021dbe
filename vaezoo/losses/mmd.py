"""Maximum mean discrepancy: a distance between the distributions of two samples (Gretton et al., 2012, lemma 6).

    MMD^2(q, p) = E k(z, z') + E k(y, y') - 2 E k(z, y),        z, z' ~ q and y, y' ~ p independent

    rbf   k(a, b) = exp(-|a - b|^2 / c)
    imq   k(a, b) = c / (c + |a - b|^2)

Both kernels are in (0, 1] and characteristic, so MMD^2 is between 0 and 2, and 0 only for q = p.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from vaezoo.distributed import gather
from vaezoo.numerics import full_precision

Kernel = Literal["rbf", "imq"]


def kernel_matrix(a: Tensor, b: Tensor, kernel: Kernel, bandwidth: float) -> Tensor:
    """Return k(a_i, b_j), (A, B), for a (A, J) and b (B, J); c = `bandwidth` has the unit of a squared distance."""
    # Differences need A B J numbers, but |a|^2 + |b|^2 - 2 ab would lose digits where points are close.
    distance = (a[:, None] - b).square().sum(-1)
    return torch.exp(-distance / bandwidth) if kernel == "rbf" else bandwidth / (bandwidth + distance)


def mean_of_pairs(k: Tensor) -> Tensor:
    """Return the mean over i != j of the kernel matrix (B, B) of a sample with itself."""
    count = len(k)
    return (k - torch.diag(k.diagonal())).sum() / (count * (count - 1))


def mmd2(z: Tensor, y: Tensor, kernel: Kernel, bandwidth: float) -> Tensor:
    """Return the U-statistic of MMD^2 for samples z and y (B, J) with B >= 2.

    No point is compared with itself, so the estimate is unbiased and often negative where q = p. Clamping it at 0 would
    add a bias and stop the gradient. Including the diagonals would make it too large by
    (2 - E k(z, z') - E k(y, y')) / B.
    """
    with torch.autocast(z.device.type, enabled=False):
        z, y = full_precision(z), full_precision(y)
        within = [mean_of_pairs(kernel_matrix(sample, sample, kernel, bandwidth)) for sample in (z, y)]
        return within[0] + within[1] - 2 * kernel_matrix(z, y, kernel, bandwidth).mean()


def prior_mmd2(z: Tensor, latent: Any, kernel: Kernel, bandwidth: float) -> Tensor:
    """Return MMD^2 between codes z (B, J) and as many draws from the prior of `latent`; of the whole batch at once."""
    prior = latent.sample_prior(len(z), device=z.device).to(z)
    return mmd2(gather(z), gather(prior), kernel, bandwidth)
