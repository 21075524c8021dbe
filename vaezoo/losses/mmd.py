"""Maximum mean discrepancy: how far two samples are from having one distribution (Gretton et al., 2012).

    MMD^2(q, p) = E k(z, z') + E k(y, y') - 2 E k(z, y),        z, z' ~ q and y, y' ~ p independent

    rbf   k(a, b) = exp(-|a - b|^2 / c)
    imq   k(a, b) = c / (c + |a - b|^2)

Both kernels lie in (0, 1] and are characteristic: MMD^2 is between 0 and 2, and 0 only for q = p.

Erratum of a public version: its rbf averages the squared distance over J and divides by a c that grows with J again,
and it divides the weight by B (B - 1), which is right for its imq, whose kernels are summed, but not for means.
"""

from typing import Literal

import torch
from torch import Tensor

from vaezoo.numerics import full_precision

Kernel = Literal["rbf", "imq"]


def kernel_matrix(a: Tensor, b: Tensor, kernel: Kernel, bandwidth: float) -> Tensor:
    """k(a_i, b_j) for a (A, J) and b (B, J): (A, B). c = `bandwidth` has the unit of a squared distance."""
    # Differences first: |a|^2 + |b|^2 - 2 ab would lose digits where points are close. Costs A B J numbers.
    distance = (a[:, None] - b).square().sum(-1)
    return torch.exp(-distance / bandwidth) if kernel == "rbf" else bandwidth / (bandwidth + distance)


def mean_of_pairs(k: Tensor) -> Tensor:
    """The mean of a kernel matrix (B, B) of a sample with itself over i != j."""
    count = len(k)
    return (k - torch.diag(k.diagonal())).sum() / (count * (count - 1))


def mmd2(z: Tensor, y: Tensor, kernel: Kernel, bandwidth: float) -> Tensor:
    """The U-statistic of MMD^2 for samples z and y of at least two points each, (B, J).

    No point is compared with itself, so it is unbiased, and therefore negative more often than not where q = p. It
    must not be clamped at 0, which would bias it and stop the gradient. With the diagonals kept it would be too large
    by (2 - E k(z, z') - E k(y, y')) / B.
    """
    with torch.autocast(z.device.type, enabled=False):
        z, y = full_precision(z), full_precision(y)
        within = [mean_of_pairs(kernel_matrix(sample, sample, kernel, bandwidth)) for sample in (z, y)]
        return within[0] + within[1] - 2 * kernel_matrix(z, y, kernel, bandwidth).mean()
