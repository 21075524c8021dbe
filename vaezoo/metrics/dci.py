"""DCI: disentanglement, completeness and informativeness, from how much each code counts in predicting each factor.

Eastwood & Williams, "A framework for the quantitative evaluation of disentangled representations", ICLR 2018,
section 2. R (D, K) ≥ 0 is the importance of code i for factor k; with P the rows of R and Q its columns, each divided
by its sum,

    disentanglement = Σ_i ρ_i (1 - H_K(P_i)),   ρ_i = Σ_k R_ik / Σ R        one code, one factor
    completeness    = Σ_k κ_k (1 - H_D(Q_k)),   κ_k = Σ_i R_ik / Σ R        one factor, one code
    informativeness = mean over k of how well factor k is predicted for fresh rows

with entropies to the base K and D. All in [0, 1], except the informativeness of `dci_lasso`. `score` repeats the
disentanglement, which the large-scale study (Locatello et al., ICML 2019) prints as DCI. The paper does not weight the
factors in its completeness: `completeness_unweighted`. Both agree where every column of R sums to 1.

`dci_gbt` has the protocol of that study: gradient boosted trees, impurity importances, accuracy. Its 100 rounds are
100 trees a level, minutes on dSprites, so the factors are shared out to processes. `dci_gbt_2k` is the same from 2 000
rows, under its own name. `dci_hgb` boosts trees over binned codes and is some twenty times faster, but a monitor and no
replacement: the two agree within 0.01 on clean codes and not on noisy or duplicated ones.

`dci_lasso` is the linear form: R = |w|, and informativeness is the error on fresh rows over the deviation of the factor
(0 is best, 1 no better than the mean). An informative code that is not linear looks uninformative, levels count as
numbers, the weights of exact duplicates have no unique solution, and of noise the few weights that are not 0 look
specialised.
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
from vaezoo.metrics.predictors import Split, drawn, lasso, standardise
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
    # Splits are chosen by Friedman's improvement: the default where scikit-learn has a choice, and all it has since.
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
    return _boosted(booster, _drawn(codes, factors, rng, train, test), rng)


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
    return _boosted(booster, _drawn(codes, factors, rng, train, test), rng)


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
    x, y, x_test, y_test = _drawn(codes, factors, rng, train, test)
    (x, x_test), (y, y_test) = standardise(x, x_test), standardise(y, y_test)
    weights = lasso(x, y, alpha)
    errors = np.sqrt(np.square(y_test - x_test @ weights).mean(axis=0)) / y_test.std(axis=0)
    return {**of_matrix(np.abs(weights)), "informativeness": float(errors.mean()), "errors": errors}


def _drawn(codes: np.ndarray, factors: np.ndarray, rng: np.random.Generator, train: int, test: int) -> Split:
    split = drawn(codes, factors, rng, train, test)
    if codes.shape[1] < 2 or split[1].shape[1] < 2:
        raise Skip("the logarithms' bases are the numbers of codes and of factors: it needs two or more of both")
    return split


def _boosted(booster: Callable[..., Any], split: Split, rng: np.random.Generator) -> Result:
    """One classifier a factor, in as many processes as there are cores; the same numbers however many those are."""
    x, y, x_test, y_test = split
    many = y.shape[1]
    tasks = [
        delayed(_fit)(booster(random_state=int(rng.integers(2**31))), x, level, x_test, level_test)
        for level, level_test in zip(y.T, y_test.T, strict=True)
    ]
    with progress("boosting", many, "factor") as bar:
        fits = []
        for fit in Parallel(n_jobs=min(many, cpu_count()), return_as="generator")(tasks):
            fits.append(fit)
            bar.update()
    columns, train_accuracy, accuracy = zip(*fits, strict=True)
    return {
        **of_matrix(np.stack(columns, axis=1)),
        "informativeness": float(np.mean(accuracy)),
        "informativeness_train": float(np.mean(train_accuracy)),
        "accuracy": np.array(accuracy),  # (K,)
    }


def _fit(
    classifier: Any, x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Importances (D,), which sum to 1 or are all 0, and the accuracy on both tables."""
    with threadpool_limits(1):
        classifier.fit(x, y)
        return importances(classifier), float(classifier.score(x, y)), float(classifier.score(x_test, y_test))


def importances(classifier: Any) -> np.ndarray:
    if isinstance(classifier, GradientBoostingClassifier):
        return classifier.feature_importances_
    # The histogram booster has no public importances: the gain of all its splits, summed by code.
    gains = np.zeros(classifier.n_features_in_)
    for trees in classifier._predictors:
        for tree in trees:
            splits = tree.nodes[tree.nodes["is_leaf"] == 0]
            np.add.at(gains, splits["feature_idx"], splits["gain"])
    return gains / max(gains.sum(), np.finfo(float).tiny)


def of_matrix(importance: np.ndarray) -> Result:
    """What a matrix R (D, K) says, whoever made it."""
    by_code, by_factor = specialisation(importance), specialisation(importance.T)
    disentanglement = weighted(by_code, importance.sum(axis=1))
    return {
        "score": disentanglement,
        "disentanglement": disentanglement,
        "completeness": weighted(by_factor, importance.sum(axis=0)),
        "completeness_unweighted": float(by_factor.mean()),
        "importance": importance,  # (D, K)
        "by_code": by_code,  # (D,)
        "by_factor": by_factor,  # (K,)
    }


def specialisation(table: np.ndarray) -> np.ndarray:
    """1 - H(row) / ln(columns) of every row: 1 for a single entry, 0 for equal ones; a row of zeros counts as equal."""
    return 1 - entropy(table + 1e-11) / np.log(table.shape[1])


def weighted(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(values, weights=weights if weights.sum() > 0 else None))
