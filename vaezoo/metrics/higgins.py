"""The beta-VAE metric: predict from the differences of codes which factor was held fixed.

Higgins et al., "beta-VAE: Learning basic visual concepts with a constrained variational framework", ICLR 2017,
section 3. For one vector, draw a factor k and L pairs of different rows that agree in it:

    x = (1/L) Σ_l |z(a_l) - z(b_l)|        (D,)

A linear classifier learns to predict k from x. The score is its accuracy on other vectors: a share in [0, 1], chance
1/K, higher is better.

A score means little without L, the number of vectors, the loss and C: codes that were rotated at random get any value
from 0.4 to 0.95. Codes without any information about one factor still get 1, because the classifier predicts that
factor whenever no code is small. The vectors are used as they are: standardising them, or rescaling a code, changes the
score.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from vaezoo.metrics.directions import Better
from vaezoo.metrics.groups import Groups
from vaezoo.metrics.protocol import Result


@Better(higher=("score",), group="disentanglement")
def higgins_svm(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    factor_names: Sequence[str] = (),
    *,
    pairs: int = 64,
    train: int = 5_000,
    test: int = 2_500,
    C: float = 0.01,
) -> Result:
    """Compute the form of the DIP-VAE paper (Kumar et al., ICLR 2018): hinge loss and C = 0.01.

    That paper gives neither L nor the number of vectors; 64 `pairs` and 5 000 + 2 500 vectors are our choice.
    """
    # This is LIBLINEAR's dual solver, one class against the rest; it penalises the intercept as it does the weights.
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
    return _score_classifier(classifier, codes, Groups(factors, 2, factor_names), rng, pairs, train, test)


@Better(higher=("score",), group="disentanglement")
def higgins_logistic(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    factor_names: Sequence[str] = (),
    *,
    pairs: int = 64,
    train: int = 10_000,
    test: int = 5_000,
    C: float = 1.0,
) -> Result:
    """Compute the form and the constants of the large-scale study (Locatello et al., ICML 2019).

    The study had one classifier a factor; here one multinomial classifier is fitted, as scikit-learn does today.
    """
    classifier = LogisticRegression(C=C, solver="lbfgs", tol=1e-4, max_iter=1_000)
    return _score_classifier(classifier, codes, Groups(factors, 2, factor_names), rng, pairs, train, test)


def _score_classifier(
    classifier: LinearSVC | LogisticRegression,
    codes: np.ndarray,
    groups: Groups,
    rng: np.random.Generator,
    pairs: int,
    train: int,
    test: int,
) -> Result:
    """Fit the classifier to `train` vectors of codes (N, D), and score it on `test` others."""
    groups.check_choice()
    k = rng.integers(len(groups.sizes), size=train + test)
    x = mean_differences(codes, groups, rng, k, pairs)
    classifier.fit(x[:train], k[:train])
    return {
        "score": float(classifier.score(x[train:], k[train:])),
        "train_accuracy": float(classifier.score(x[:train], k[:train])),
        "chance": 1 / len(groups.sizes),
        **groups.facts,
    }


def mean_differences(
    codes: np.ndarray, groups: Groups, rng: np.random.Generator, k: np.ndarray, pairs: int
) -> np.ndarray:
    """Return the mean absolute difference of codes (N, D) over pairs that agree in factor k[i], (n, D) for k (n,)."""
    x = np.empty((len(k), codes.shape[1]))
    step = max(1, 2**20 // (pairs * codes.shape[1]))  # This many vectors need a few megabytes.
    for start in range(0, len(k), step):
        a, b = groups.draw_pairs(rng, k[start : start + step], pairs)
        x[start : start + step] = np.abs(codes[a] - codes[b]).mean(axis=1, dtype=np.float64)
    return x
