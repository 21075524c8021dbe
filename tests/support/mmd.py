"""The expectation of the maximum mean discrepancy between Gaussians."""

import math


def expected_kernel(m: list[float], s2: list[float], n: list[float], t2: list[float], c: float) -> float:
    """E k(N(m, s2), N(n, t2)) of the rbf kernel, diagonal covariances."""
    product = 1.0
    for a, v, b, w in zip(m, s2, n, t2, strict=True):
        product *= (1 + 2 * (v + w) / c) ** -0.5 * math.exp(-((a - b) ** 2) / (c + 2 * (v + w)))
    return product


def expected_mmd2(m: list[float], s2: list[float], c: float) -> float:
    """MMD^2 between N(m, s2) and N(0, I)."""
    zero, one = [0.0] * len(m), [1.0] * len(m)
    return (
        expected_kernel(m, s2, m, s2, c)
        + expected_kernel(zero, one, zero, one, c)
        - 2 * expected_kernel(m, s2, zero, one, c)
    )
