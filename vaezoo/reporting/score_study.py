"""The study of a study: do scores agree, what decides a score, and does what is best on one data set hold on another?

The questions are those of Locatello et al. (2019), Challenging common assumptions in the unsupervised learning of
disentangled representations, ICML, sections 5.3 to 5.5. All of it is computed from the scores of finished runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from vaezoo.reporting.summary import CONFIDENCE, rank_correlation
from vaezoo.seeds import derive

RESAMPLES = 1000  # of the runs, for an interval
MIN_RUNS = 5  # of a correlation with an interval


@dataclass(frozen=True)
class Correlation:
    """Spearman's correlation over n runs, and the ends of its interval, NaN where it has none."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Shares:
    """The parts of the variance of a score that model, setting within the model, and seed explain; they sum to 1.

    `by_chance` are the same parts, as they are on average where all runs are draws of one distribution.
    """

    model: float
    setting: float
    seed: float
    by_chance: tuple[float, float, float]


@dataclass(frozen=True)
class Transfer:
    """The settings that two data sets share, and what the best one of the first is worth on the second."""

    rho: float  # Spearman's correlation of the means over seeds
    n: int  # settings
    chosen: float  # the score on the second data set of the setting that is best on the first
    best: float  # the best score there
    middle: float  # the mean over the settings there


def correlate_scores(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> Correlation:
    """Return Spearman's correlation of two scores of the same runs, (n,) each, with a bootstrap interval over the runs.

    The interval holds the middle 95 % of the correlations of runs drawn with replacement; there is none below five
    runs. Runs without a finite value of both are left out.
    """
    pairs = np.array([x, y], np.float64).reshape(2, -1)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    rho, n = rank_correlation(*pairs)
    if n < MIN_RUNS or not np.isfinite(rho):
        return Correlation(rho, np.nan, np.nan, n)
    draws = np.random.default_rng(derive(0, "rank correlation", n)).integers(n, size=(RESAMPLES, n))
    a, b = (rankdata(values[draws], axis=1) for values in pairs)  # (RESAMPLES, n)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    drawn = (a * b).sum(axis=1)[scale > 0] / scale[scale > 0]  # a draw of one run alone has no correlation
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Correlation(rho, float(low), float(high), n)


def split_variance(values: Sequence[float], models: Sequence[str], settings: Sequence[str]) -> Shares | None:
    """Return how much of the variance of a score over runs, (n,) each, model, setting and seed explain.

    The sum of squares about the mean is that of the means of models, plus that of the means of settings about those of
    their models, plus that of runs about the means of their settings. None where runs do not vary, and where no setting
    has two runs, so that seeds cannot be told from settings.
    """
    v = np.asarray(values, np.float64)
    finite = np.isfinite(v)
    v = v[finite]
    of_model = np.unique(np.asarray(models)[finite], return_inverse=True)[1]
    of_setting = np.unique(np.asarray(settings)[finite], return_inverse=True)[1]
    n = len(v)
    if n < 2 or np.ptp(v) == 0 or (count := of_setting.max() + 1) == n:
        return None
    by_model, by_setting = (
        (np.bincount(group, v) / np.bincount(group))[group] for group in (of_model, of_setting)
    )  # the mean of the group of each run, (n,)
    total = ((v - v.mean()) ** 2).sum()
    parts = [((a - b) ** 2).sum() / total for a, b in ((by_model, v.mean()), (by_setting, by_model), (v, by_setting))]
    kinds = of_model.max() + 1
    chance = (float((kinds - 1) / (n - 1)), float((count - kinds) / (n - 1)), float((n - count) / (n - 1)))
    return Shares(float(parts[0]), float(parts[1]), float(parts[2]), chance)


def compare_data_sets(first: Sequence[float], second: Sequence[float], way: int) -> Transfer | None:
    """Return what the means of the same settings on two data sets, (n,) each, say about each other.

    `way` is 1 where high values are better and -1 where low ones are. None below three settings with both values.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < 3:
        return None
    chosen = b[np.argmax(way * a)]
    return Transfer(rank_correlation(a, b)[0], len(a), float(chosen), float(way * (way * b).max()), float(b.mean()))
