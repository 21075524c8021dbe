"""The numbers of a report: intervals over seeds, ranks, fronts and rank correlations."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import rankdata, spearmanr, t

LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """The mean of n seeds and half of its interval, NaN where it has none."""

    value: float
    half: float
    n: int


@cache
def quantile(n: int) -> float:
    """Of Student's t with n - 1 degrees of freedom."""
    return float(t.ppf((1 + LEVEL) / 2, n - 1))


def mean(values: Sequence[float]) -> Mean:
    """Of the finite values, with t s / √n: the interval in which the mean of many seeds lies with 95 % confidence."""
    finite = np.array([value for value in values if np.isfinite(value)], np.float64)
    n = len(finite)
    if n == 0:
        return Mean(np.nan, np.nan, 0)
    half = quantile(n) * finite.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return Mean(float(finite.mean()), float(half), n)


def ranks(values: np.ndarray, direction: int) -> np.ndarray:
    """1 is the best; equals share the mean of their places; NaN has none."""
    places = np.full(len(values), np.nan)
    known = np.isfinite(values)
    places[known] = rankdata(-direction * values[known], method="average")
    return places


def mean_rank(columns: Sequence[np.ndarray], directions: Sequence[int], length: int) -> np.ndarray:
    """(length,): the mean of the ranks in each column that has a value; NaN where none has."""
    if not columns:
        return np.full(length, np.nan)
    table = np.array([ranks(column, way) for column, way in zip(columns, directions, strict=True)])
    counts = np.isfinite(table).sum(axis=0)
    return np.where(counts > 0, np.nansum(table, axis=0) / np.maximum(counts, 1), np.nan)


def front(x: np.ndarray, y: np.ndarray, directions: tuple[int, int]) -> np.ndarray:
    """Which points no other beats in one score without losing in the other (Pareto); equals are all on it.

    By falling x, a point is on the front if its y is above all that came before, or is level with the best of its x.
    """
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    a, b = directions[0] * x[known], directions[1] * y[known]
    on = np.zeros(len(x), bool)
    best = best_before = -np.inf
    at = np.inf
    for i in np.lexsort((-b, -a)):
        if a[i] < at:
            best_before, at, best = max(best_before, best), a[i], -np.inf
        if b[i] > best_before and b[i] >= best:
            on[known[i]], best = True, b[i]
    return on


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> tuple[float, int]:
    """Spearman's, and of how many pairs; NaN for fewer than three or for constants."""
    pairs = np.array([(a, b) for a, b in zip(x, y, strict=True) if np.isfinite(a) and np.isfinite(b)])
    if len(pairs) < 3 or (pairs == pairs[0]).all(axis=0).any():
        return float("nan"), len(pairs)
    return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic), len(pairs)
