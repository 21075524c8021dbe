"""DCI: disentanglement, completeness and informativeness, from the importance of each code for predicting each factor.

Eastwood & Williams, "A framework for the quantitative evaluation of disentangled representations", ICLR 2018,
section 2. R (D, K) ≥ 0 is the importance of code i for factor k; P are the rows of R and Q its columns, each divided
by its sum:

    disentanglement = Σ_i ρ_i (1 - H_K(P_i)),   ρ_i = Σ_k R_ik / Σ R        one code, one factor
    completeness    = Σ_k κ_k (1 - H_D(Q_k)),   κ_k = Σ_i R_ik / Σ R        one factor, one code
    informativeness = mean over k of how well factor k is predicted for other rows

with entropies to the base K and D. All are in [0, 1], higher is better, except the informativeness of `dci_lasso`.
`score` repeats the disentanglement, which the large-scale study (Locatello et al., ICML 2019) prints as DCI. The paper
does not weight the factors in its completeness; that is `completeness_unweighted`. Both are equal where every column of
R sums to 1.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, cpu_count, delayed
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from vaezoo.metrics.directions import Better
from vaezoo.metrics.entropies import entropy
from vaezoo.metrics.predictors import Split, draw_split, lasso, standardise
from vaezoo.metrics.protocol import Result, Skip
from vaezoo.progress import progress


@Better(higher=("score", "disentanglement", "completeness*", "informativeness"), group="disentanglement")
def dci_gbt(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    train: int = 10_000,
    test: int = 5_000,
    rounds: int = 100,
    depth: int = 3,
    learning_rate: float = 0.1,
) -> Result:
    """Compute DCI with gradient boosted trees, impurity importances and accuracy, as the large-scale study does.

    `train` and `test` rows of codes (N, D) and factors (N, K) are drawn. There is one tree for each round and level,
    which takes minutes on dSprites, so the factors are distributed to processes.
    """
    # `criterion` is not passed, because newer versions of scikit-learn only have its default, Friedman's improvement.
    booster = partial(
        GradientBoostingClassifier,
        loss="log_loss",
        learning_rate=learning_rate,
        n_estimators=rounds,
        subsample=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        max_depth=depth,
        max_features=None,
        max_leaf_nodes=None,
        min_impurity_decrease=0.0,
        ccp_alpha=0.0,
        init=None,
        n_iter_no_change=None,
    )
    return _score_boosting(booster, _draw_split(codes, factors, rng, train, test), rng)


@Better(higher=("score", "disentanglement", "completeness*", "informativeness"), group="disentanglement")
def dci_gbt_2k(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    train: int = 2_000,
    test: int = 1_000,
    rounds: int = 100,
    depth: int = 3,
    learning_rate: float = 0.1,
) -> Result:
    """Compute `dci_gbt` from 2 000 rows, which has a name of its own because its values do not compare."""
    sizes = {"train": train, "test": test, "rounds": rounds, "depth": depth}
    return dci_gbt(codes, factors, rng, **sizes, learning_rate=learning_rate)


@Better(higher=("score", "disentanglement", "completeness*", "informativeness"), group="disentanglement")
def dci_hgb(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    train: int = 10_000,
    test: int = 5_000,
    rounds: int = 100,
    depth: int = 3,
    learning_rate: float = 0.1,
    bins: int = 255,
) -> Result:
    """Compute DCI with trees over binned codes, some twenty times faster than `dci_gbt`.

    It serves to watch a training and does not replace `dci_gbt`: both agree within 0.01 on clean codes, but not on
    noisy or duplicated codes.
    """
    booster = partial(
        HistGradientBoostingClassifier,
        loss="log_loss",
        learning_rate=learning_rate,
        max_iter=rounds,
        max_leaf_nodes=None,
        max_depth=depth,
        min_samples_leaf=20,
        l2_regularization=0.0,
        max_features=1.0,
        max_bins=bins,
        categorical_features=None,
        early_stopping=False,
    )
    return _score_boosting(booster, _draw_split(codes, factors, rng, train, test), rng)


@Better(higher=("score", "disentanglement", "completeness*"), lower=("informativeness",), group="disentanglement")
def dci_lasso(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    train: int = 10_000,
    test: int = 5_000,
    alpha: float = 0.02,
) -> Result:
    """Compute DCI with one Lasso a factor: R = |w|.

    Informativeness is the error on other rows divided by the deviation of the factor: 0 is best, 1 is no better than
    the mean. Levels count as numbers. A code that follows a factor, but not linearly, looks uninformative. The weights
    of exact duplicates are not unique. On noise the few weights that are not 0 look specialised.
    """
    x, y, x_test, y_test = _draw_split(codes, factors, rng, train, test)
    (x, x_test), (y, y_test) = standardise(x, x_test), standardise(y, y_test)
    weights = lasso(x, y, alpha)
    errors = np.sqrt(np.square(y_test - x_test @ weights).mean(axis=0)) / y_test.std(axis=0)
    return {**score_importances(np.abs(weights)), "informativeness": float(errors.mean()), "errors": errors}


def _draw_split(codes: np.ndarray, factors: np.ndarray, rng: np.random.Generator, train: int, test: int) -> Split:
    """Draw rows to learn from and rows to judge by; skip the metric for a single code or factor."""
    split = draw_split(codes, factors, rng, train, test)
    if codes.shape[1] < 2 or split[1].shape[1] < 2:
        raise Skip("the logarithms' bases are the numbers of codes and of factors: it needs two or more of both")
    return split


def _score_boosting(booster: Callable[..., Any], split: Split, rng: np.random.Generator) -> Result:
    """Fit one classifier a factor in as many processes as there are cores; the number of cores changes no score."""
    x, y, x_test, y_test = split
    factors = y.shape[1]
    tasks = [
        delayed(_fit_and_score)(booster(random_state=int(rng.integers(2**31))), x, level, x_test, level_test)
        for level, level_test in zip(y.T, y_test.T, strict=True)
    ]
    with progress("boosting", factors, "factor") as bar:
        fits = []
        for fit in Parallel(n_jobs=min(factors, cpu_count()), return_as="generator")(tasks):
            fits.append(fit)
            bar.update()
    columns, train_accuracy, accuracy = zip(*fits, strict=True)
    return {
        **score_importances(np.stack(columns, axis=1)),
        "informativeness": float(np.mean(accuracy)),
        "informativeness_train": float(np.mean(train_accuracy)),
        "accuracy": np.array(accuracy),  # (K,)
    }


def _fit_and_score(
    classifier: Any, x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Return the importances (D,) and the accuracy on both tables."""
    with threadpool_limits(1):
        classifier.fit(x, y)
        return importances(classifier), float(classifier.score(x, y)), float(classifier.score(x_test, y_test))


def importances(classifier: Any) -> np.ndarray:
    """Return the importance of each code (D,) for a fitted booster; they sum to 1 or are all 0."""
    if isinstance(classifier, GradientBoostingClassifier):
        return classifier.feature_importances_
    # The gains of all splits are summed by code, because scikit-learn has no importances for the histogram booster.
    gains = np.zeros(classifier.n_features_in_)
    for trees in classifier._predictors:
        for tree in trees:
            splits = tree.nodes[tree.nodes["is_leaf"] == 0]
            np.add.at(gains, splits["feature_idx"], splits["gain"])
    return gains / max(gains.sum(), np.finfo(float).tiny)


def score_importances(importance: np.ndarray) -> Result:
    """Return disentanglement and completeness of a matrix R (D, K)."""
    by_code, by_factor = specialisation(importance), specialisation(importance.T)
    disentanglement = weighted_mean(by_code, importance.sum(axis=1))
    return {
        "score": disentanglement,
        "disentanglement": disentanglement,
        "completeness": weighted_mean(by_factor, importance.sum(axis=0)),
        "completeness_unweighted": float(by_factor.mean()),
        "importance": importance,  # (D, K)
        "by_code": by_code,  # (D,)
        "by_factor": by_factor,  # (K,)
    }


def specialisation(table: np.ndarray) -> np.ndarray:
    """Return 1 - H(row) / ln(columns) of every row: 1 for a single entry, 0 for equal entries or zeros."""
    return 1 - entropy(table + 1e-11) / np.log(table.shape[1])


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean, or the plain mean where all weights are 0."""
    return float(np.average(values, weights=weights if weights.sum() > 0 else None))
