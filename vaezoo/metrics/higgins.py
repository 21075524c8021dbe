"""The beta-VAE metric: which factor was held fixed, told from how little the codes differ.

Higgins et al., "beta-VAE: Learning basic visual concepts with a constrained variational framework", ICLR 2017,
section 3. One vector: pick a factor k, draw L pairs of rows that agree in it,

    x = (1/L) Σ_l |z(a_l) - z(b_l)|        (D,)

and let a linear classifier name k. The score is its accuracy on fresh vectors: a share in [0, 1], chance 1/K.

`higgins_svm` is the form of the DIP-VAE paper (hinge loss, C = 0.01); the paper gives neither L nor the number of
vectors, 64 and 5 000 + 2 500 are ours. `higgins_logistic` is the form and the constants of the large-scale study
(Locatello et al., ICML 2019), with today's multinomial fit in place of one classifier a factor.

A score means little without L, the number of vectors, the loss and C: a randomly rotated code gets anything from 0.4 to
0.95. A code without any trace of one factor still gets 1, because the classifier names the missing factor whenever no
code is small. The vectors are used as they are; standardising them, or rescaling a code, changes the score.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from vaezoo.metrics.directions import Better
from vaezoo.metrics.groups import Groups
from vaezoo.metrics.protocol import Result, Skip


@Better(higher=("score",), group="disentanglement")
def higgins_svm(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    pairs: int = 64,
    train: int = 5_000,
    test: int = 2_500,
    C: float = 0.01,
) -> Result:
    # LIBLINEAR's dual solver, one class against the rest; it shrinks the intercept together with the weights.
    seed = int(rng.integers(2**31))
    classifier = LinearSVC(
        penalty="l2",
        C=C,
        loss="hinge",
        dual=True,
        intercept_scaling=1,
        tol=1e-4,
        max_iter=20_000,
        random_state=seed,
    )
    return _accuracy(classifier, codes, factors, rng, pairs, train, test)


@Better(higher=("score",), group="disentanglement")
def higgins_logistic(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    pairs: int = 64,
    train: int = 10_000,
    test: int = 5_000,
    C: float = 1.0,
) -> Result:
    classifier = LogisticRegression(C=C, solver="lbfgs", tol=1e-4, max_iter=1_000)
    return _accuracy(classifier, codes, factors, rng, pairs, train, test)


def _accuracy(
    classifier: LinearSVC | LogisticRegression,
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    pairs: int,
    train: int,
    test: int,
) -> Result:
    groups = Groups(factors)
    if len(groups.sizes) < 2:
        raise Skip("naming the fixed factor needs two factors or more")
    k = rng.integers(len(groups.sizes), size=train + test)
    x = mean_differences(codes, groups, rng, k, pairs)
    classifier.fit(x[:train], k[:train])
    return {
        "score": float(classifier.score(x[train:], k[train:])),
        "train_accuracy": float(classifier.score(x[:train], k[:train])),
        "chance": 1 / len(groups.sizes),
        "interventional": groups.full_product,
    }


def mean_differences(
    codes: np.ndarray, groups: Groups, rng: np.random.Generator, k: np.ndarray, pairs: int
) -> np.ndarray:
    """(n, D): the mean absolute difference of the codes over pairs that agree in factor k[i]."""
    x = np.empty((len(k), codes.shape[1]))
    step = max(1, 2**20 // (pairs * codes.shape[1]))  # a few megabytes at a time
    for start in range(0, len(k), step):
        a, b = groups.pairs(rng, k[start : start + step], pairs)
        x[start : start + step] = np.abs(codes[a] - codes[b]).mean(axis=1, dtype=np.float64)
    return x
