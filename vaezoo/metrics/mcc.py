"""MCC, the mean correlation coefficient: each factor gets a code of its own, and its score is their correlation.

Hyvärinen & Morioka, "Unsupervised feature extraction by time-contrastive learning and nonlinear ICA", NeurIPS 2016,
section 5. With r[d, k] the correlation of code d and factor k,

    MCC = (1/K) max_π Σ_k |r[π(k), k]|         π gives different codes to different factors; in [0, 1], higher is better

The maximum is found exactly, by the Hungarian algorithm. Where codes are fewer than factors, factors without a code
count as 0. Levels count as numbers, so the numbering of a factor without an order, such as a shape, matters, and an
angle that returns to its beginning has no code that correlates with it fully.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from vaezoo.metrics.correlations import pearson
from vaezoo.metrics.directions import Better
from vaezoo.metrics.groups import renumber_levels
from vaezoo.metrics.protocol import Result


@Better(higher=("score",), group="disentanglement")
def mcc_pearson(codes: np.ndarray, factors: np.ndarray) -> Result:
    """Compute MCC of codes (N, D) and factors (N, K) with Pearson correlations, which ask for a linear relation."""
    levels, _, _ = renumber_levels(factors)
    return match_codes(codes, levels)


@Better(higher=("score",), group="disentanglement")
def mcc_spearman(codes: np.ndarray, factors: np.ndarray) -> Result:
    """Compute MCC of codes (N, D) and factors (N, K) with rank correlations, for which any monotone relation will do.

    Equal values share the mean of their ranks.
    """
    levels, _, _ = renumber_levels(factors)
    return match_codes(rankdata(codes, axis=0), rankdata(levels, axis=0))


def match_codes(codes: np.ndarray, factors: np.ndarray) -> Result:
    """Return MCC with `latents` (K,), the code of each factor that varies, -1 for none, and `correlations` (D, K)."""
    d = codes.shape[1]
    correlations = pearson(codes, factors)[:d, d:]
    chosen, columns = linear_sum_assignment(np.abs(correlations), maximize=True)
    latents = np.full(factors.shape[1], -1)
    latents[columns] = chosen
    score = np.abs(correlations[chosen, columns]).sum() / factors.shape[1]
    return {"score": float(score), "latents": latents, "correlations": correlations}
