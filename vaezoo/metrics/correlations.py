"""Pearson correlations between codes, and between factors and codes.

    r(x, y) = Cov(x, y) / √(Var x · Var y)         in [-1, 1]; a constant column gives 0

The score is the mean of |r| over pairs of different codes, 0 for uncorrelated ones (a number of ours, to rank runs by).
Collapsed codes have nothing left to correlate and look excellent. Levels of a factor are used as numbers, which says
nothing about a cyclic one such as an angle.
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result, Skip


@Better(lower=("score",), group="easy")
def correlation(test_codes: np.ndarray, test_factors: np.ndarray | None = None) -> Result:
    d = test_codes.shape[1]
    if d < 2:
        raise Skip("correlations between codes need two codes or more")
    r = pearson(test_codes) if test_factors is None else pearson(test_codes, test_factors)
    between_codes = r[:d, :d]
    result: Result = {
        "score": float(np.abs(between_codes[np.triu_indices(d, 1)]).mean()),
        "constant_codes": int((np.diag(between_codes) == 0).sum()),
        "codes": between_codes,  # (D, D)
    }
    if test_factors is not None:
        result["factors"] = r[d:, :d]  # (K, D)
    return result


def pearson(*tables: np.ndarray, floor: float = 0.0) -> np.ndarray:
    """(A, A): r between all columns of the tables, side by side; 0 for those with a variance not above `floor`."""
    products = covariance(*tables)
    variances = np.diag(products)
    known = variances > floor
    stds = np.sqrt(np.where(known, variances, 1.0))
    return np.clip(np.where(known[:, None] & known, products, 0.0) / stds[:, None] / stds, -1.0, 1.0)


def covariance(*tables: np.ndarray) -> np.ndarray:
    """(A, A), divided by n - 1: all columns of the tables, side by side, in float64 and a few megabytes at a time."""
    n = len(tables[0])
    # The mean is taken relative to the first row, so that a constant column gets a variance of exactly 0.
    means = [table[0] + np.subtract(table, table[0], dtype=np.float64).mean(axis=0) for table in tables]
    products = np.zeros((sum(map(len, means)),) * 2)
    for start in range(0, n, 2**16):
        centred = [table[start : start + 2**16] - mean for table, mean in zip(tables, means, strict=True)]
        columns = np.concatenate(centred, axis=1)
        products += columns.T @ columns
    return products / (n - 1)
