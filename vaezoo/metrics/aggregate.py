"""Entropies of the aggregate posterior of one latent, over all rows and given each factor, in nats.

    q(z) = (1/N) Σ_n N(z; μ_n, σ_n²),    H(z) = -∫ q ln q,    H(z|v_k) = Σ_u p(v_k = u) H(q(·|v_k = u))

Three functions estimate the same numbers. Each takes one latent: the means `mu` and deviations `sigma` (N,) of its
posteriors, and `levels` (N, K) and `sizes` (K,) from `groups.renumber_levels`. Each returns H(z) and H(z|v_k), (K,).
"""

import numpy as np
from scipy import fft, sparse
from scipy.special import logsumexp, xlogy

Entropies = tuple[float, np.ndarray]


def integration_interval(mu: np.ndarray, sigma: np.ndarray) -> tuple[float, float, float]:
    """Return both ends of an interval that reaches 8σ beyond every mean, and the smallest σ."""
    return float((mu - 8 * sigma).min()), float((mu + 8 * sigma).max()), float(sigma.min())


def count_grid_points(mu: np.ndarray, sigma: np.ndarray) -> float:
    """Return the number of points, 2 000 at least, of a grid whose spacing is at most half the smallest σ.

    The number is a float because it can exceed any integer type.
    """
    low, high, narrowest = integration_interval(mu, sigma)
    return max(2_000.0, np.ceil(2 * (high - low) / narrowest) + 1)


def entropies_by_quadrature(mu: np.ndarray, sigma: np.ndarray, levels: np.ndarray, sizes: np.ndarray) -> Entropies:
    """Integrate the exact densities by the rectangle rule on a fine grid; this is the reference estimator.

    On sums of Gaussians the rule converges faster than any power of the spacing, so half the smallest σ is fine enough.
    Each density is computed once and serves every level of every factor.
    """
    low, high, _ = integration_interval(mu, sigma)
    points = int(count_grid_points(mu, sigma))
    dz = (high - low) / (points - 1)
    counts = _count_levels(levels, sizes)
    entropy, by_level = 0.0, np.zeros(len(counts))
    for start in range(0, points, 1024):
        z = low + dz * np.arange(start, min(start + 1024, points))
        near = np.flatnonzero((mu + 9 * sigma >= z[0]) & (mu - 9 * sigma <= z[-1]))
        density = np.zeros((len(counts), len(z)))
        for rows in np.split(near, range(1024, len(near), 1024)):
            s = sigma[rows, None]
            density += _level_indicators(levels[rows], sizes) @ (np.exp(-0.5 * ((z - mu[rows, None]) / s) ** 2) / s)
        density /= np.sqrt(2 * np.pi)
        whole = density[: sizes[0]].sum(axis=0) / len(mu)  # The levels of any factor partition the rows.
        entropy -= dz * float(xlogy(whole, whole).sum())
        by_level -= dz * xlogy(density / counts[:, None], density / counts[:, None]).sum(axis=1)
    return entropy, _average_by_factor(by_level, counts, sizes)


def entropies_by_binning(
    mu: np.ndarray, sigma: np.ndarray, levels: np.ndarray, sizes: np.ndarray, width: float = 0.05
) -> Entropies:
    """Convolve histograms of the means with Gaussians; this is fast for many rows.

    The rows are sorted into slices of nearly equal σ, `width` apart in ln σ, and each slice has one histogram and one
    Gaussian. A component is divided between the two nearest positions and the two nearest slices, so that its mean and
    its variance stay exact. Details finer than the grid of at most 2¹⁵ positions are blurred; this matters only where σ
    and the distances between means are both below 1/30 000 of the range.
    """
    low, high, narrowest = integration_interval(mu, sigma)
    size = 2 ** int(np.clip(np.ceil(np.log2((high - low) / narrowest)) + 1, 12, 15))
    dz = (high - low) / (size - 1)
    position = np.minimum(((mu - low) / dz).astype(np.int64), size - 2)
    share = (mu - low) / dz - position

    # Dividing a component between two positions adds share (1 - share) dz² to its variance, so that is subtracted here.
    variance = np.maximum(sigma**2 - share * (1 - share) * dz**2, (0.1 * dz) ** 2)
    smallest = variance.min()
    slices = (np.log(variance / smallest) / (2 * width)).astype(np.int64)
    centres = smallest * np.exp(2 * width * np.arange(slices.max() + 2))  # variances, ascending
    upper = (variance - centres[slices]) / (centres[slices + 1] - centres[slices])

    counts = _count_levels(levels, sizes)
    distance = dz * np.minimum(np.arange(size), size - np.arange(size))
    # No padding is needed because the interval ends 8σ beyond every mean, so that nothing wraps around.
    spectrum = np.zeros((len(counts), size // 2 + 1), dtype=np.complex128)
    order = np.argsort(slices, kind="stable")
    ends = np.concatenate(([0], np.cumsum(np.bincount(slices, minlength=len(centres)))))
    for i, centre in enumerate(centres):
        below, here = order[ends[max(i - 1, 0)] : ends[i]], order[ends[i] : ends[i + 1]]
        rows = np.concatenate((below, here))
        if rows.size:
            weights = np.concatenate((upper[below], 1 - upper[here]))
            histogram = _sum_by_level_and_position(position[rows], share[rows], weights, levels[rows], sizes, size)
            kernel = np.exp(-0.5 * distance**2 / centre)
            spectrum += fft.rfft(histogram, axis=1) * fft.rfft(kernel / kernel.sum())
    mass = np.maximum(fft.irfft(spectrum, size, axis=1), 0.0)
    whole = mass[: sizes[0]].sum(axis=0) / len(mu)
    by_level = -xlogy(mass / counts[:, None], mass / (counts[:, None] * dz)).sum(axis=1)
    return -float(xlogy(whole, whole / dz).sum()), _average_by_factor(by_level, counts, sizes)


def entropies_by_sampling(
    mu: np.ndarray, sigma: np.ndarray, levels: np.ndarray, sizes: np.ndarray, rng: np.random.Generator, samples: int
) -> Entropies:
    """Average -ln q(z) over draws of z, as the code of Chen et al. (2018) did.

    One z is drawn from the posterior of each row, and all populations use these draws: all rows, and the rows with each
    level, of which at most `samples` random ones count. The cost is rows times samples, once for all rows and once for
    each factor. The noise makes gaps between similar codes larger.
    """
    draws = mu + sigma * rng.standard_normal(len(mu))

    def entropy(rows: np.ndarray) -> float:
        z = draws[rng.permutation(rows)[:samples]]
        log_q = [
            logsumexp(-0.5 * ((part[:, None] - mu[rows]) / sigma[rows]) ** 2 - np.log(sigma[rows]), axis=1)
            for part in np.array_split(z, max(1, len(z) * len(rows) // 2**20))
        ]
        return float(0.5 * np.log(2 * np.pi) + np.log(len(rows)) - np.concatenate(log_q).mean())

    by_level = [entropy(np.flatnonzero(levels[:, k] == u)) for k, count in enumerate(sizes) for u in range(count)]
    return entropy(np.arange(len(mu))), _average_by_factor(np.array(by_level), _count_levels(levels, sizes), sizes)


def _count_levels(levels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return how many rows have each level, for all factors in one vector (Σ S_k,)."""
    return np.concatenate([np.bincount(column, minlength=count) for column, count in zip(levels.T, sizes, strict=True)])


def _level_indicators(levels: np.ndarray, sizes: np.ndarray) -> sparse.csc_array:
    """Return indicators (Σ S_k, n): 1 where a row has the level.

    Multiplying by this matrix sums rows by level, for all factors at once.
    """
    n, k = levels.shape
    indices = (levels + np.cumsum(sizes) - sizes).ravel()
    return sparse.csc_array((np.ones(n * k), indices, np.arange(0, n * k + 1, k)), shape=(int(sizes.sum()), n))


def _sum_by_level_and_position(
    position: np.ndarray, share: np.ndarray, weights: np.ndarray, levels: np.ndarray, sizes: np.ndarray, size: int
) -> np.ndarray:
    """Return the sums of weights (Σ S_k, size) by level and position.

    Each row adds the fraction `share` (n,) of its weight to the position after its own.
    """
    parts = []
    for column, count in zip(levels.T, sizes, strict=True):
        cells = column * size + position
        part = np.bincount(cells, weights * (1 - share), count * size)
        part += np.bincount(cells + 1, weights * share, count * size)
        parts.append(part.reshape(count, size))
    return np.concatenate(parts)


def _average_by_factor(by_level: np.ndarray, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the mean entropy (K,) of the levels of each factor, weighted by their numbers of rows."""
    starts = np.cumsum(sizes) - sizes
    return np.add.reduceat(by_level * counts, starts) / np.add.reduceat(counts, starts)
