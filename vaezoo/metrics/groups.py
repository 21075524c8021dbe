"""Ground-truth factors as an index: rows that share a level of one factor, without encoding anything again.

A *full product* holds every combination of levels equally often: once (dSprites, any generated grid), or several times
(SmallNORB, whose ten objects of a category are told apart by no factor). Writing a combination as one number, the last
factor fastest and copies after it, cell = Σ_k v_k · stride_k + copy, a factor is fixed by adding a multiple of its
stride, and the other factors stay independent of it. That is an intervention in the sense of the Higgins and FactorVAE
scores, and they report it as the fact `interventional`.

Any other table (CelebA attributes, chairs with missing views) is sampled from lists of the rows that have each level.
The other factors then follow their joint distribution in the table, so what looks like the fixed factor may be
another one correlated with it. Rows drawn uniformly at random from a full product lie in between: their factors are
independent in expectation only, and they count as not interventional.
"""

import math

import numpy as np

from vaezoo.metrics.protocol import Skip


def varying(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels (N, K) renumbered 0 … S_k - 1 without gaps, the sizes S_k, and which columns of `factors` they are.

    Levels that never occur are forgotten, and so are factors with a single level: their entropy is 0.
    """
    counts = [np.bincount(column) for column in factors.T]
    kept = np.array([k for k, count in enumerate(counts) if np.count_nonzero(count) > 1], dtype=np.int64)
    if kept.size == 0:
        raise Skip("no factor varies in these rows")
    renumbered = [np.cumsum(counts[k] > 0)[factors[:, k]] - 1 for k in kept]
    return np.stack(renumbered, axis=1), np.array([np.count_nonzero(counts[k]) for k in kept]), kept


def stratified(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Which of the rows, ascending: `count` of them, or all, each class (N,) with its share of them.

    A class gets its share rounded down; what is left goes one by one to the largest remainders, of equals to the class
    that comes first. Rows within a class are random.
    """
    if count >= len(labels):
        return np.arange(len(labels))
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    quotas, remainders = np.divmod(sizes * count, len(labels))  # in whole numbers, so that ties are ties
    quotas[np.argsort(-remainders, kind="stable")[: count - quotas.sum()]] += 1
    drawn = (rng.choice(np.flatnonzero(classes == c), quota, replace=False) for c, quota in enumerate(quotas.tolist()))
    return np.sort(np.concatenate(list(drawn)))


class Groups:
    """Draws rows of a table in which chosen factors have chosen levels."""

    def __init__(self, factors: np.ndarray) -> None:
        self.levels, self.sizes, _ = varying(factors)  # (N, K), (K,)
        n, k = self.levels.shape
        self.full_product = False
        if n % math.prod(self.sizes.tolist()) == 0:
            cells = np.ravel_multi_index(tuple(self.levels.T), tuple(self.sizes))
            self.full_product = bool(np.ptp(np.bincount(cells, minlength=np.prod(self.sizes))) == 0)
        if self.full_product:
            self.strides = n // np.cumprod(self.sizes)
            self.row_of_cell = np.argsort(cells, kind="stable")
        else:
            self.rows_by_level = np.argsort(self.levels, axis=0, kind="stable").T  # (K, N)
            self.counts = np.zeros((k, self.sizes.max()), dtype=np.int64)
            for counts, column in zip(self.counts, self.levels.T, strict=True):
                counts += np.bincount(column, minlength=counts.size)
            self.starts = np.cumsum(self.counts, axis=1) - self.counts

    def matching(self, rng: np.random.Generator, k: np.ndarray, level: np.ndarray) -> np.ndarray:
        """For each entry one row whose factor k has this level, uniform among such rows; k and level broadcast."""
        k, level = np.broadcast_arrays(k, level)
        if self.full_product:
            cells = rng.integers(len(self.levels), size=level.shape)
            cells += (level - cells // self.strides[k] % self.sizes[k]) * self.strides[k]
            return self.row_of_cell[cells]
        return self.rows_by_level[k, self.starts[k, level] + rng.integers(self.counts[k, level])]

    def pairs(self, rng: np.random.Generator, k: np.ndarray, pairs: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows a, b (n, pairs): a is uniform, b agrees with it in factor k[i]; the level differs from pair to pair."""
        a = rng.integers(len(self.levels), size=(len(k), pairs))
        return a, self.matching(rng, k[:, None], self.levels[a, k[:, None]])

    def batches(self, rng: np.random.Generator, k: np.ndarray, batch: int) -> np.ndarray:
        """Rows (n, batch) that all share one level of factor k[i], the level uniform among those that occur."""
        level = np.repeat(rng.integers(self.sizes[k])[:, None], batch, axis=1)
        return self.matching(rng, k[:, None], level)
