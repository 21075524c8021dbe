"""Pairs of images that share some factors: the weak supervision of Locatello et al., ICML 2020, section 4.

The partner of a row is drawn uniformly from the rows that share certain factors with it. Which factors these are is
drawn anew for each pair: `changed` random factors may differ, or a random number of 1 ... K - 1 of them, and all others
are equal. A factor that may differ can have the same level by chance. Which factors are equal is never handed on.
"""

import math

import numpy as np
import torch
from torch import Tensor

from vaezoo.errors import UserError

MOST_PATTERNS = 2**12  # of equal factors; each costs a sort of all rows


class Pairs:
    """Draws partners for rows of a data set with the `factors` (N, K), from the rows of `pool` alone.

    `name` is that of the data set, for messages. Raises UserError where there are fewer than two factors that vary, and
    where `changed` leaves no factor that is equal.
    """

    def __init__(self, name: str, factors: np.ndarray | None, pool: np.ndarray, changed: int | None) -> None:
        if factors is None:
            raise UserError(
                f"dataset={name} has no ground-truth factors, and this model sees pairs of images that share some of"
                " them. Data sets with factors: dsprites, shapes3d, mpi3d, cars3d, smallnorb, or dataset=arrays."
            )
        levels = factors[:, np.ptp(factors[pool], axis=0) > 0].astype(np.int64)
        self.count = levels.shape[1]  # of factors that vary, K
        if self.count < 2:
            raise UserError(f"dataset={name}: pairs share a factor and differ in another; {self.count} varies.")
        if changed is not None and changed >= self.count:
            raise UserError(
                f"model.changed_factors={changed}: must be less than the {self.count} factors of dataset={name}."
            )
        sizes = (levels.max(axis=0) + 1).tolist()
        if (2**self.count if changed is None else math.comb(self.count, changed)) > MOST_PATTERNS:
            raise UserError(f"model.changed_factors={changed}: {self.count} factors are too many; try 1.")
        if math.prod(sizes) >= 2**63:
            raise UserError(f"dataset={name}: pairs need factors with fewer levels.")
        self.changed = changed
        self.pool = pool
        # The sum of some columns of a row is a number for the levels of these factors.
        self.terms = levels * np.cumprod([1, *sizes[:-1]])  # (N, K)

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a partner for each of the rows (n,), which must be in the pool, (n,)."""
        n, k = len(rows), self.count
        numbers = np.full(n, self.changed) if self.changed else rng.integers(1, k, size=n)
        order = rng.random((n, k)).argsort(axis=1).argsort(axis=1)
        patterns, which = np.unique((order < numbers[:, None]) @ (1 << np.arange(k)), return_inverse=True)
        partners = np.empty_like(rows)
        for i, pattern in enumerate(patterns.tolist()):
            equal = self.terms @ (pattern >> np.arange(k) & 1 ^ 1)  # (N,), alike for rows that share these factors
            by_level = self.pool[np.argsort(equal[self.pool], kind="stable")]
            mine = np.flatnonzero(which == i)
            first, last = (np.searchsorted(equal[by_level], equal[rows[mine]], side) for side in ("left", "right"))
            partners[mine] = by_level[rng.integers(first, last)]
        return partners

    def complete(self, rows: Tensor, sizes: int | list[int], seed: int) -> Tensor:
        """Return the rows of batches of these sizes with partners of the first half of each batch as its second."""
        batches = rows.split(sizes)
        firsts = [batch[: len(batch) // 2] for batch in batches]
        drawn = self.draw(torch.cat(firsts).numpy(), np.random.default_rng(seed))
        partners = torch.from_numpy(drawn).split([len(batch) for batch in firsts])
        return torch.cat([half for pair in zip(firsts, partners, strict=True) for half in pair])
