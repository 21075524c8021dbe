"""Ground-truth factors as an index: draw rows that share the level of a factor, without encoding images again.

A *full product* has every combination of levels equally often: once (dSprites, any generated grid), or several times
(SmallNORB, where no factor distinguishes the ten objects of a category). A combination is written as one number with
the last factor and the copies fastest, cell = Σ_k v_k · stride_k + copy. A factor is then fixed by adding a multiple of
its stride, and the other factors stay independent of it. That is an intervention in the sense of the Higgins and
FactorVAE scores, which report it as the fact `interventional`.

Any other table (CelebA attributes, chairs with missing views) is sampled from lists of the rows that have each level.
The other factors then follow their joint distribution in the table, so a metric may see a factor that is correlated
with the fixed one. Rows that were drawn at random from a full product have factors that are independent in expectation
only, so they are not interventional.
"""

import math
from collections.abc import Sequence

import numpy as np

from vaezoo.metrics.protocol import Skip

# Rows that a level needs where a spread within it is measured. With fewer, the spread says more about their number than
# about the codes: with two rows a level, noise gets 0.9 in IRS (0.6 with nine), and in FactorVAE 0.95 if some codes
# are binary and others Gaussian (0.56 with nine, where chance is 0.5).
FEWEST = 8


def renumber_levels(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the levels (N, K) of the factors that vary, their numbers of levels S (K,), and their columns (K,).

    Levels are numbered 0 … S_k - 1; levels that do not occur are left out. So are factors with a single level, because
    their entropy is 0.
    """
    counts = [np.bincount(column) for column in factors.T]
    columns = np.array([k for k, count in enumerate(counts) if np.count_nonzero(count) > 1], dtype=np.int64)
    if columns.size == 0:
        raise Skip("no factor varies in these rows")
    renumbered = [np.cumsum(counts[k] > 0)[factors[:, k]] - 1 for k in columns]
    return np.stack(renumbered, axis=1), np.array([np.count_nonzero(counts[k]) for k in columns]), columns


def leave_out_rare(factors: np.ndarray, fewest: int, names: Sequence[str] = ()) -> tuple[np.ndarray, str]:
    """Return the columns of factors (N, K) whose every level has at least `fewest` rows, and a text about the others.

    A metric that compares rows with the same level needs different rows: the distance of a row from itself is 0, so
    noise would look like the best codes. Raise Skip where every factor that varies has a level with too few rows.
    """
    least = []  # the number of rows of the rarest level of each factor
    for column in factors.T:
        counts = np.bincount(column)
        least.append(int(counts[counts > 0].min()))
    rare = np.array(least) < fewest
    labels = list(names) or [f"factor {k}" for k in range(len(least))]
    text = ", ".join(
        f"{labels[k]} ({least[k]} row{'s' * (least[k] > 1)} of a level, {fewest} needed)" for k in np.flatnonzero(rare)
    )
    columns = np.flatnonzero(~rare)
    if rare.any() and not np.ptp(factors[:, columns], axis=0).any():
        raise Skip(f"no factor is left that varies; too few rows: {text}")
    return columns, text


def draw_stratified(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` rows, or all, with each class of labels (N,) in proportion; return them in ascending order.

    The proportional number of a class is rounded down, and the rows that are left go to the classes with the largest
    remainders, of equals to the first. Rows within a class are random.
    """
    if count >= len(labels):
        return np.arange(len(labels))
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    quotas, remainders = np.divmod(sizes * count, len(labels))  # Whole numbers keep equal remainders equal.
    quotas[np.argsort(-remainders, kind="stable")[: count - quotas.sum()]] += 1
    rows = (rng.choice(np.flatnonzero(classes == c), quota, replace=False) for c, quota in enumerate(quotas.tolist()))
    return np.sort(np.concatenate(list(rows)))


class Groups:
    """Draws rows from a table of factors (N, K) in which one factor has a certain level.

    A factor with a level of fewer than `fewest` rows is left out; `left_out` names it.
    """

    def __init__(self, factors: np.ndarray, fewest: int = 1, names: Sequence[str] = ()) -> None:
        columns, self.left_out = leave_out_rare(factors, fewest, names)
        self.levels, self.sizes, _ = renumber_levels(factors[:, columns])  # (N, K), (K,)
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

    @property
    def facts(self) -> dict[str, bool | str]:
        """Return the facts of a protocol that draws from these rows."""
        return {"interventional": self.full_product} | ({"left_out": self.left_out} if self.left_out else {})

    def check_choice(self) -> None:
        """Raise Skip unless there are two factors, because a metric that names the fixed one would always be right."""
        if len(self.sizes) < 2:
            left_out = f"; left out: {self.left_out}" if self.left_out else ""
            raise Skip(f"naming the fixed factor needs two factors or more{left_out}")

    def draw_matching(self, rng: np.random.Generator, k: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Draw a row for each entry of k and level, which broadcast, uniformly among the rows whose factor k has it."""
        k, level = np.broadcast_arrays(k, level)
        if self.full_product:
            cells = rng.integers(len(self.levels), size=level.shape)
            cells += (level - cells // self.strides[k] % self.sizes[k]) * self.strides[k]
            return self.row_of_cell[cells]
        return self.rows_by_level[k, self.starts[k, level] + rng.integers(self.counts[k, level])]

    def draw_pairs(self, rng: np.random.Generator, k: np.ndarray, pairs: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows a and b, both (n, pairs): a uniformly, and another row b with the level of a in factor k[i].

        k is (n,). Every level must have two rows or more.
        """
        a = rng.integers(len(self.levels), size=(len(k), pairs))
        b = self.draw_matching(rng, k[:, None], self.levels[a, k[:, None]])
        while (same := a == b).any():
            factor = np.broadcast_to(k[:, None], a.shape)[same]
            b[same] = self.draw_matching(rng, factor, self.levels[a[same], factor])
        return a, b

    def draw_batches(self, rng: np.random.Generator, k: np.ndarray, batch: int) -> np.ndarray:
        """Draw rows (n, batch): in row i all have the same level of factor k[i], drawn uniformly; k is (n,)."""
        level = np.repeat(rng.integers(self.sizes[k])[:, None], batch, axis=1)
        return self.draw_matching(rng, k[:, None], level)
