"""Modularity and explicitness: is a code informative about one factor only, and do all codes predict levels linearly?

Ridgeway & Mozer, "Learning deep disentangled embeddings with the F-statistic loss", NeurIPS 2018, section 2; constants
of the large-scale study (Locatello et al., ICML 2019). Both are in [0, 1], higher is better.

    modularity   = (1/D) Σ_i ( 1 - Σ_{k≠best} I_ik² / ((K - 1) I_i,best²) )        0 for a code without information
    explicitness = (1/K) Σ_k (1/S_k) Σ_u AUC of "level u of factor k, or another level"
"""

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from vaezoo.metrics.directions import Better
from vaezoo.metrics.entropies import discretise, mutual_information
from vaezoo.metrics.groups import renumber_levels
from vaezoo.metrics.predictors import draw_split, standardise
from vaezoo.metrics.protocol import Result, Skip


@Better(higher=("score",), group="disentanglement")
def modularity(
    codes: np.ndarray, factors: np.ndarray, rng: np.random.Generator, *, rows: int | None = 10_000, bins: int = 20
) -> Result:
    """Compute modularity of codes (N, D) for factors (N, K), with I as in `mig_hist`.

    `rows` rows are drawn with replacement; None takes the whole table. Noise gets 0.7 to 0.8, because the estimate of
    I is then only its bias, and that is largest for the factor with the most levels; so read the score beside MIG. A
    constant code gets 0, but a nearly constant code does not.
    """
    if rows is not None:
        drawn_rows = rng.integers(len(codes), size=rows)
        codes, factors = codes[drawn_rows], factors[drawn_rows]
    levels, _, _ = renumber_levels(factors)
    count = levels.shape[1]
    if count < 2:
        raise Skip("modularity needs two factors or more")
    information = mutual_information(discretise(codes, bins), levels)
    information[information < 1e-12] = 0  # Rounding can leave tiny values where there is no information.
    squares = np.square(information)
    best = squares.max(axis=1)
    others = squares.sum(axis=1) - best
    by_code = np.where(best > 0, 1 - others / ((count - 1) * np.where(best > 0, best, 1.0)), 0.0)
    return {"score": float(by_code.mean()), "by_code": by_code, "information": information}


@Better(higher=("score",), group="disentanglement")
def explicitness(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    train: int = 10_000,
    test: int = 5_000,
    C: float = 1.0,
) -> Result:
    """Compute explicitness with one softmax regression a factor on standardised codes (N, D); chance is 0.5."""
    x, y, x_test, y_test = draw_split(codes, factors, rng, train, test)
    x, x_test = standardise(x, x_test)
    areas = np.empty((2, y.shape[1]))
    for k, (level, level_test) in enumerate(zip(y.T, y_test.T, strict=True)):
        size = int(max(level.max(), level_test.max())) + 1
        if not (np.bincount(level, minlength=size).all() and np.bincount(level_test, minlength=size).all()):
            raise Skip("a level does not occur among the drawn rows; more of them are needed (train, test)")
        classifier = LogisticRegression(C=C, solver="lbfgs", tol=1e-4, max_iter=1_000).fit(x, level)
        areas[0, k] = areas_under_curve(classifier.predict_proba(x), level).mean()
        areas[1, k] = areas_under_curve(classifier.predict_proba(x_test), level_test).mean()
    return {"score": float(areas[1].mean()), "train": float(areas[0].mean()), "by_factor": areas[1]}


def areas_under_curve(probabilities: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return P(p of a row with the level > p of a row without it) + ½ P(equal) for every level, (S,).

    Probabilities are (N, S), levels (N,). Ranks give all levels at once, unlike scikit-learn's `roc_auc_score`.
    """
    counts = np.bincount(level, minlength=probabilities.shape[1])
    ranks = rankdata(probabilities, axis=0)
    own = np.bincount(level, ranks[np.arange(len(level)), level], minlength=len(counts))
    return (own - counts * (counts + 1) / 2) / (counts * (len(level) - counts))
