"""What the scores share that predict factors or other codes from codes: rows to learn from and rows to judge by."""

import numpy as np
from sklearn.linear_model import Lasso

from vaezoo.metrics.groups import varying
from vaezoo.metrics.protocol import Skip

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def drawn(codes: np.ndarray, factors: np.ndarray, rng: np.random.Generator, train: int, test: int) -> Split:
    """Codes and levels of `train` rows, then of `test` rows.

    They are drawn with replacement from two random parts of the table, so that a small table cannot be learned by
    heart; in one of the size of dSprites that makes no difference. Codes come in float64, so that a fit does not depend
    on the precision that they were stored in.
    """
    levels, _, _ = varying(factors)
    order = rng.permutation(len(codes))
    cut = min(max(1, len(codes) * train // (train + test)), len(codes) - 1)
    rows = order[rng.integers(cut, size=train)]
    fresh = order[rng.integers(cut, len(codes), size=test)]
    if not (np.ptp(levels[rows], axis=0).all() and np.ptp(levels[fresh], axis=0).all()):
        raise Skip("a factor has the same level in all drawn rows; more of them are needed (train, test)")
    codes = codes.astype(np.float64, copy=False)
    return codes[rows], levels[rows], codes[fresh], levels[fresh]


def standardise(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Every table minus the training means, divided by the training deviations; constant columns become zeros."""
    means, stds = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    varies = np.ptp(train, axis=0) > 0
    return [np.where(varies, table - means, 0.0) / np.where(varies, stds, 1.0) for table in (train, *others)]


def lasso(x: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """(D, K): for every column y the w that minimises |y - x w|² / 2n + alpha |w|₁; x and y have means of 0."""
    # It draws nothing, and yet it advances numpy's global generator unless it is given a state.
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
