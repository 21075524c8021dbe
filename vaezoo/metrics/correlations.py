"""Pearson correlations between codes, and between factors and codes.

r(x, y) = Cov(x, y) / √(Var x · Var y)         in [-1, 1]; a constant column gives 0
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result, Skip


@Better(lower=("score",), group="easy")
def correlation(test_codes: np.ndarray, test_factors: np.ndarray | None = None) -> Result:
    """Compute the mean of |r| over pairs of different codes (M, D); 0 for uncorrelated codes, lower is better.

    The score is our own, to rank runs. Collapsed codes are constant, so they get 0 and look excellent. `factors` (K, D)
    correlates the levels of the factors (M, K) with the codes; levels count as numbers, which has no meaning for a
    cyclic factor such as an angle.
    """
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
    """Return r between all A columns of the tables, side by side, (A, A); 0 where a variance is at most `floor`."""
    products = covariance(*tables)
    variances = np.diag(products)
    varies = variances > floor
    stds = np.sqrt(np.where(varies, variances, 1.0))
    return np.clip(np.where(varies[:, None] & varies, products, 0.0) / stds[:, None] / stds, -1.0, 1.0)


def covariance(*tables: np.ndarray) -> np.ndarray:
    """Return the covariance, divided by n - 1, of all A columns of the tables, side by side, (A, A) in float64.

    Blocks of rows keep the memory at a few megabytes, which `np.cov` would not.
    """
    n = len(tables[0])
    # The mean is computed relative to the first row, so that a constant column gets a variance of exactly 0.
    means = [table[0] + np.subtract(table, table[0], dtype=np.float64).mean(axis=0) for table in tables]
    products = np.zeros((sum(map(len, means)),) * 2)
    for start in range(0, n, 2**16):
        centred = [table[start : start + 2**16] - mean for table, mean in zip(tables, means, strict=True)]
        columns = np.concatenate(centred, axis=1)
        products += columns.T @ columns
    return products / (n - 1)
