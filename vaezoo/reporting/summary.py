"""The numbers of a report: intervals over seeds, ranks, fronts and rank correlations."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import rankdata, spearmanr, t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Mean:
    """The mean of n seeds and half of its interval, NaN where it has none."""

    value: float
    half: float
    n: int


@cache
def t_quantile(n: int) -> float:
    """Return the upper end of Student's interval for n values, which has n - 1 degrees of freedom."""
    return float(t.ppf((1 + CONFIDENCE) / 2, n - 1))


def mean(values: Sequence[float]) -> Mean:
    """Return the mean of the finite values with its interval.

    The half width is t s / √n, with the standard deviation s of the n values: the mean over many seeds lies in the
    interval with 95 % confidence. A single value has none.
    """
    finite = np.array([value for value in values if np.isfinite(value)], np.float64)
    n = len(finite)
    if n == 0:
        return Mean(np.nan, np.nan, 0)
    half = t_quantile(n) * finite.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return Mean(float(finite.mean()), float(half), n)


def ranks(values: np.ndarray, direction: int) -> np.ndarray:
    """Return ranks from 1, the best; equal values share the mean of their ranks, and NaN has rank NaN.

    `direction` is 1 where high values are better and -1 where low ones are.
    """
    places = np.full(len(values), np.nan)
    finite = np.isfinite(values)
    places[finite] = rankdata(-direction * values[finite], method="average")
    return places


def mean_rank(columns: Sequence[np.ndarray], directions: Sequence[int], length: int) -> np.ndarray:
    """Return (length,) means of the ranks over the columns that have a value; NaN where none has."""
    if not columns:
        return np.full(length, np.nan)
    table = np.array([ranks(column, way) for column, way in zip(columns, directions, strict=True)])
    counts = np.isfinite(table).sum(axis=0)
    return np.where(counts > 0, np.nansum(table, axis=0) / np.maximum(counts, 1), np.nan)


def pareto_front(x: np.ndarray, y: np.ndarray, directions: tuple[int, int]) -> np.ndarray:
    """Return which points no other point beats in one score without losing in the other; equal points are all on it.

    Points are visited by falling x: a point is on the front if its y is above that of every larger x and not below
    the best of its own x.
    """
    finite = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    a, b = directions[0] * x[finite], directions[1] * y[finite]
    on_front = np.zeros(len(x), bool)
    best = best_before = -np.inf
    current = np.inf
    for i in np.lexsort((-b, -a)):
        if a[i] < current:
            best_before, current, best = max(best_before, best), a[i], -np.inf
        if b[i] > best_before and b[i] >= best:
            on_front[finite[i]], best = True, b[i]
    return on_front


def rank_correlation(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> tuple[float, int]:
    """Return Spearman's correlation and the number of finite pairs; NaN for fewer than three pairs or for constants."""
    pairs = np.array([(a, b) for a, b in zip(x, y, strict=True) if np.isfinite(a) and np.isfinite(b)])
    if len(pairs) < 3 or (pairs == pairs[0]).all(axis=0).any():
        return float("nan"), len(pairs)
    return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic), len(pairs)
