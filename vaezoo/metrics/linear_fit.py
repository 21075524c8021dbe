"""R² of a linear regression: how much of each factor all codes together tell, wherever in the codes it is.

Von Kügelgen et al., "Self-supervised learning with data augmentations provably isolates content from style", NeurIPS
2021, section 5. A least-squares fit with an intercept on some rows predicts the level v of factor k in other rows,

    R²_k = 1 - Σ_i (v_ik - v̂_ik)² / Σ_i (v_ik - v̄_k)²         v̄_k the mean of these rows; at most 1, higher is better

It is 0 for the mean and below 0 for something worse. A rotation of the codes does not change it, so it says nothing
about disentanglement: read it beside MCC. Levels count as numbers, as in `vaezoo.metrics.mcc`.
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.predictors import draw_split, standardise
from vaezoo.metrics.protocol import Result


@Better(higher=("score",))
def linear_r2(
    codes: np.ndarray, factors: np.ndarray, rng: np.random.Generator, *, train: int = 10_000, test: int = 5_000
) -> Result:
    """Compute the mean of R² over the factors (N, K) that vary, from codes (N, D); `of_factors` (K,) has each.

    `train` rows are fitted and `test` others are predicted, drawn as for DCI.
    """
    x_train, v_train, x_test, v_test = draw_split(codes, factors, rng, train, test)
    x_train, x_test = standardise(x_train, x_test)
    means = v_train.mean(axis=0)  # These are the intercepts, because standardised codes have means of 0.
    weights = np.linalg.lstsq(x_train, v_train - means)[0]  # (D, K)
    errors = np.square(v_test - means - x_test @ weights).sum(axis=0)
    r2 = 1 - errors / np.square(v_test - v_test.mean(axis=0)).sum(axis=0)
    return {"score": float(r2.mean()), "of_factors": r2}
