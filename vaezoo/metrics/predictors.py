"""Shared by the metrics that predict from codes: rows to learn from and to judge by, standardised tables, a Lasso."""

import numpy as np
from sklearn.linear_model import Lasso

from vaezoo.metrics.groups import renumber_levels
from vaezoo.metrics.protocol import Skip

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def draw_split(codes: np.ndarray, factors: np.ndarray, rng: np.random.Generator, train: int, test: int) -> Split:
    """Draw codes and levels of `train` rows and of `test` rows: (train, D), (train, K), (test, D), (test, K).

    Rows are drawn with replacement from two disjoint random parts of the table, because the test rows of a small table
    would otherwise have been learned; for a table like dSprites it makes no difference. Codes are returned in float64,
    so that a fit does not depend on the precision in which they were stored.
    """
    levels, _, _ = renumber_levels(factors)
    order = rng.permutation(len(codes))
    cut = min(max(1, len(codes) * train // (train + test)), len(codes) - 1)
    train_rows = order[rng.integers(cut, size=train)]
    test_rows = order[rng.integers(cut, len(codes), size=test)]
    if not (np.ptp(levels[train_rows], axis=0).all() and np.ptp(levels[test_rows], axis=0).all()):
        raise Skip("a factor has the same level in all drawn rows; more of them are needed (train, test)")
    codes = codes.astype(np.float64, copy=False)
    return codes[train_rows], levels[train_rows], codes[test_rows], levels[test_rows]


def standardise(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Subtract the training means from every table and divide by the training deviations, column by column.

    Columns that are constant in the training table become zeros.
    """
    means, stds = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    varies = np.ptp(train, axis=0) > 0
    return [np.where(varies, table - means, 0.0) / np.where(varies, stds, 1.0) for table in (train, *others)]


def lasso(x: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """Return the weights w (D, K) that minimise |y - x w|² / 2n + alpha |w|₁ for each column of y (n, K).

    The columns of x (n, D) and y must have means of 0.
    """
    # scikit-learn advances numpy's global generator without a random_state, although this fit draws nothing.
    model = Lasso(
        alpha=alpha,
        fit_intercept=False,
        precompute=True,
        max_iter=100_000,
        tol=1e-10,
        selection="cyclic",
        random_state=0,
    )
    return np.atleast_2d(model.fit(x, y).coef_).T
