"""Entropies of the aggregate posterior of one latent dimension, whole and by level of each factor, in nats.

    q(z) = (1/N) Σ_n N(z; μ_n, σ_n²),    H = -∫ q ln q        and H(z|v_k) = Σ_u p(v_k = u) H(q(·|v_k = u))

Three estimators of the same numbers, each for one dimension: `mu` and `sigma` (N,), `levels` (N, K) and `sizes` (K,) as
`groups.varying` returns them; the result is H(z) and the K values of H(z|v_k).
"""

import numpy as np
from scipy import fft, sparse
from scipy.special import logsumexp, xlogy

Entropies = tuple[float, np.ndarray]


def interval(mu: np.ndarray, sigma: np.ndarray) -> tuple[float, float, float]:
    """Both ends of an interval that misses nothing, 8σ beyond every mean, and the narrowest component's σ."""
    return float((mu - 8 * sigma).min()), float((mu + 8 * sigma).max()), float(sigma.min())


def grid_points(mu: np.ndarray, sigma: np.ndarray) -> float:
    """Points of a grid with a spacing of at most half the smallest σ, 2 000 at least; can be huge."""
    low, high, narrowest = interval(mu, sigma)
    return max(2_000.0, np.ceil(2 * (high - low) / narrowest) + 1)


def quadrature(mu: np.ndarray, sigma: np.ndarray, levels: np.ndarray, sizes: np.ndarray) -> Entropies:
    """The reference: every component's density on a fine grid, and the rectangle rule.

    The rule converges faster than any power of the spacing on sums of Gaussians, so half the smallest σ is plenty. One
    pass over the densities serves every level of every factor.
    """
    low, high, _ = interval(mu, sigma)
    points = int(grid_points(mu, sigma))
    dz = (high - low) / (points - 1)
    counts = _level_counts(levels, sizes)
    entropy, by_level = 0.0, np.zeros(len(counts))
    for start in range(0, points, 1024):
        z = low + dz * np.arange(start, min(start + 1024, points))
        near = np.flatnonzero((mu + 9 * sigma >= z[0]) & (mu - 9 * sigma <= z[-1]))
        density = np.zeros((len(counts), len(z)))
        for rows in np.split(near, range(1024, len(near), 1024)):
            s = sigma[rows, None]
            density += _membership(levels[rows], sizes) @ (np.exp(-0.5 * ((z - mu[rows, None]) / s) ** 2) / s)
        density /= np.sqrt(2 * np.pi)
        whole = density[: sizes[0]].sum(axis=0) / len(mu)  # the levels of any one factor make up the whole
        entropy -= dz * float(xlogy(whole, whole).sum())
        by_level -= dz * xlogy(density / counts[:, None], density / counts[:, None]).sum(axis=1)
    return entropy, _average(by_level, counts, sizes)


def binned(mu: np.ndarray, sigma: np.ndarray, levels: np.ndarray, sizes: np.ndarray, width: float = 0.05) -> Entropies:
    """For many rows: histograms of the means in slices of nearly equal σ, each convolved with its Gaussian.

    A component is shared out between the two nearest positions and the two nearest slices (`width` apart in ln σ) so
    that its mean and its variance stay exact. Structure finer than the grid, up to 2¹⁵ positions, is blurred, which
    matters only where σ and the distances between means are both below 1/30 000 of the range.
    """
    low, high, narrowest = interval(mu, sigma)
    size = 2 ** int(np.clip(np.ceil(np.log2((high - low) / narrowest)) + 1, 12, 15))
    dz = (high - low) / (size - 1)
    position = np.minimum(((mu - low) / dz).astype(np.int64), size - 2)
    share = (mu - low) / dz - position

    # Sharing out between two positions widens a component by share (1 - share) dz²: take that off its own variance.
    variance = np.maximum(sigma**2 - share * (1 - share) * dz**2, (0.1 * dz) ** 2)
    smallest = variance.min()
    slices = (np.log(variance / smallest) / (2 * width)).astype(np.int64)
    centres = smallest * np.exp(2 * width * np.arange(slices.max() + 2))  # variances, ascending
    upper = (variance - centres[slices]) / (centres[slices + 1] - centres[slices])

    counts = _level_counts(levels, sizes)
    distance = dz * np.minimum(np.arange(size), size - np.arange(size))
    # The interval ends 8σ beyond every mean, so nothing wraps around and no padding is needed.
    spectrum = np.zeros((len(counts), size // 2 + 1), dtype=np.complex128)
    order = np.argsort(slices, kind="stable")
    ends = np.concatenate(([0], np.cumsum(np.bincount(slices, minlength=len(centres)))))
    for i, centre in enumerate(centres):
        below, here = order[ends[max(i - 1, 0)] : ends[i]], order[ends[i] : ends[i + 1]]
        rows = np.concatenate((below, here))
        if rows.size:
            weights = np.concatenate((upper[below], 1 - upper[here]))
            histogram = _histogram(position[rows], share[rows], weights, levels[rows], sizes, size)
            kernel = np.exp(-0.5 * distance**2 / centre)
            spectrum += fft.rfft(histogram, axis=1) * fft.rfft(kernel / kernel.sum())
    mass = np.maximum(fft.irfft(spectrum, size, axis=1), 0.0)
    whole = mass[: sizes[0]].sum(axis=0) / len(mu)
    by_level = -xlogy(mass / counts[:, None], mass / (counts[:, None] * dz)).sum(axis=1)
    return -float(xlogy(whole, whole / dz).sum()), _average(by_level, counts, sizes)


def sampled(
    mu: np.ndarray, sigma: np.ndarray, levels: np.ndarray, sizes: np.ndarray, rng: np.random.Generator, samples: int
) -> Entropies:
    """As first published: -ln q(z) averaged over one z for each of at most `samples` rows of every (sub)population.

    Costs rows times samples for the whole and again for each factor; the noise inflates gaps between close runners-up.
    """

    def entropy(rows: np.ndarray) -> float:
        drawn = rng.permutation(rows)[:samples]
        z = mu[drawn] + sigma[drawn] * rng.standard_normal(len(drawn))
        log_q = [
            logsumexp(-0.5 * ((part[:, None] - mu[rows]) / sigma[rows]) ** 2 - np.log(sigma[rows]), axis=1)
            for part in np.array_split(z, max(1, len(z) * len(rows) // 2**20))
        ]
        return float(0.5 * np.log(2 * np.pi) + np.log(len(rows)) - np.concatenate(log_q).mean())

    by_level = [entropy(np.flatnonzero(levels[:, k] == u)) for k, many in enumerate(sizes) for u in range(many)]
    return entropy(np.arange(len(mu))), _average(np.array(by_level), _level_counts(levels, sizes), sizes)


def _level_counts(levels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Rows at each level, all factors in one vector of length Σ S_k."""
    return np.concatenate([np.bincount(column, minlength=many) for column, many in zip(levels.T, sizes, strict=True)])


def _membership(levels: np.ndarray, sizes: np.ndarray) -> sparse.csc_array:
    """(Σ S_k, n): 1 where a row has the level; multiplying by it sums rows by level for all factors at once."""
    n, k = levels.shape
    indices = (levels + np.cumsum(sizes) - sizes).ravel()
    return sparse.csc_array((np.ones(n * k), indices, np.arange(0, n * k + 1, k)), shape=(int(sizes.sum()), n))


def _histogram(
    position: np.ndarray, share: np.ndarray, weights: np.ndarray, levels: np.ndarray, sizes: np.ndarray, size: int
) -> np.ndarray:
    """(Σ S_k, size): weights by level and position, a fraction `share` of each going to the next position."""
    parts = []
    for column, many in zip(levels.T, sizes, strict=True):
        cells = column * size + position
        part = np.bincount(cells, weights * (1 - share), many * size)
        part += np.bincount(cells + 1, weights * share, many * size)
        parts.append(part.reshape(many, size))
    return np.concatenate(parts)


def _average(by_level: np.ndarray, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(K,): the levels' entropies weighted by how often the levels occur."""
    starts = np.cumsum(sizes) - sizes
    return np.add.reduceat(by_level * counts, starts) / np.add.reduceat(counts, starts)
