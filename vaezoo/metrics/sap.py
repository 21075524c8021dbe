"""SAP, the separated attribute predictability: how much better the best single code predicts a factor than the next.

Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled observations",
ICLR 2018, section 4 (an earlier version of the paper does not have it). With S[d, k] the quality of predicting factor k
from code d alone,

    SAP = (1/K) Σ_k ( S_(1)[k] - S_(2)[k] )        the two largest over d; range [0, 1]

`sap_discrete`: S is the test accuracy of a linear support vector machine on that one code, one level against the rest
(protocol of the large-scale study). Such a machine cannot single out a level in the middle, so a perfect ordinal code
scores low: 0.24 for near-perfect codes of dSprites. It also grows with the rows and with the scale of the codes.
`sap_continuous`: S is the squared Pearson correlation, levels used as numbers. Nothing is drawn, and the scale of the
codes does not matter, but the numbering of the levels does.
"""

import numpy as np
from sklearn.svm import LinearSVC

from vaezoo.metrics.correlations import pearson
from vaezoo.metrics.directions import Better
from vaezoo.metrics.entropies import gap
from vaezoo.metrics.groups import varying
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
    if codes.shape[1] < 2:
        raise Skip("a gap needs two codes or more")
    levels, _, _ = varying(factors)
    rows, fresh = rng.integers(len(codes), size=train), rng.integers(len(codes), size=test)
    accuracy = np.empty((codes.shape[1], levels.shape[1]))
    for d, code in enumerate(codes.T.astype(np.float64)):
        for k, level in enumerate(levels.T):
            # The primal solver, faster when rows outnumber features. It draws nothing, and yet it advances numpy's
            # global generator unless it is given a state.
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
            svm.fit(code[rows, None], level[rows])
            accuracy[d, k] = svm.score(code[fresh, None], level[fresh])
    gaps = gap(accuracy)
    return {"score": float(gaps.mean()), "gaps": gaps, "accuracy": accuracy}


@Better(higher=("score",), group="disentanglement")
def sap_continuous(codes: np.ndarray, factors: np.ndarray) -> Result:
    if codes.shape[1] < 2:
        raise Skip("a gap needs two codes or more")
    _, _, kept = varying(factors)
    d = codes.shape[1]
    r2 = np.square(pearson(codes, factors[:, kept], floor=1e-12)[:d, d:])
    gaps = gap(r2)
    return {"score": float(gaps.mean()), "gaps": gaps, "r2": r2}
