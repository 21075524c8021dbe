"""SAP, the separated attribute predictability: how much better the best code predicts a factor than the next best code.

Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled observations",
ICLR 2018, section 4 (earlier versions of the paper do not have it). With S[d, k] the quality of predicting factor k
from code d alone,

    SAP = (1/K) Σ_k ( S_(1)[k] - S_(2)[k] )        the two largest over d; in [0, 1], higher is better
"""

import numpy as np
from sklearn.svm import LinearSVC

from vaezoo.metrics.correlations import pearson
from vaezoo.metrics.directions import Better
from vaezoo.metrics.entropies import gap
from vaezoo.metrics.groups import renumber_levels
from vaezoo.metrics.protocol import Result, Skip


@Better(higher=("score",), group="disentanglement")
def sap_discrete(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    train: int = 10_000,
    test: int = 5_000,
    C: float = 0.01,
) -> Result:
    """Compute SAP of codes (N, D) with S the test accuracy of a linear support vector machine on each code.

    The machine separates each level from the rest; this is the protocol of the large-scale study (Locatello et al.,
    ICML 2019). It cannot separate a level in the middle, so ordinal codes score low: nearly perfect codes of dSprites
    get 0.24. The score grows with the number of rows and with the scale of the codes.
    """
    if codes.shape[1] < 2:
        raise Skip("a gap needs two codes or more")
    levels, _, _ = renumber_levels(factors)
    train_rows, test_rows = rng.integers(len(codes), size=train), rng.integers(len(codes), size=test)
    accuracy = np.empty((codes.shape[1], levels.shape[1]))
    for d, code in enumerate(codes.T.astype(np.float64)):
        for k, level in enumerate(levels.T):
            # The primal solver is faster where rows outnumber features. Without a random_state it advances numpy's
            # global generator, although it draws nothing.
            svm = LinearSVC(
                penalty="l2",
                C=C,
                loss="squared_hinge",
                dual=False,
                class_weight="balanced",
                intercept_scaling=1,
                tol=1e-4,
                max_iter=1_000,
                random_state=0,
            )
            svm.fit(code[train_rows, None], level[train_rows])
            accuracy[d, k] = svm.score(code[test_rows, None], level[test_rows])
    gaps = gap(accuracy)
    return {"score": float(gaps.mean()), "gaps": gaps, "accuracy": accuracy}


@Better(higher=("score",), group="disentanglement")
def sap_continuous(codes: np.ndarray, factors: np.ndarray) -> Result:
    """Compute SAP of codes (N, D) with S the squared Pearson correlation of codes and levels.

    Levels count as numbers, so their numbering matters; the scale of the codes does not. Nothing is drawn.
    """
    if codes.shape[1] < 2:
        raise Skip("a gap needs two codes or more")
    _, _, columns = renumber_levels(factors)
    d = codes.shape[1]
    r2 = np.square(pearson(codes, factors[:, columns], floor=1e-12)[:d, d:])
    gaps = gap(r2)
    return {"score": float(gaps.mean()), "gaps": gaps, "r2": r2}
