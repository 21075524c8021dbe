"""IRS, the interventional robustness score: how little a code moves when all factors but one are changed.

Suter, Miladinović, Schölkopf & Bauer, "Robustly disentangled causal mechanisms", ICML 2019, section 4, in the form of
the large-scale study (Locatello et al., ICML 2019). With m_i the largest distance of code i from its mean, and d_ik(u)
the 99th percentile of its distances from their own mean among the rows with level u of factor k,

    IRS_ik = 1 - mean_u d_ik(u) / m_i        score = Σ_i m_i max_k IRS_ik / Σ_i m_i

in [0, 1], higher is better. Constant codes take no part; if there is no other the score is 0. Random codes get about
0.3, not 0, and a noisy code with a large range dominates, since m_i is the weight.

The study first puts the levels of each factor into 20 bins, which merges those of a factor with more of them:
`true_levels` does without. `largest` takes the largest distance instead of the percentile, as the paper has it.
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.entropies import discretise
from vaezoo.metrics.groups import Groups, varying
from vaezoo.metrics.protocol import Result


@Better(higher=("score",), group="disentanglement")
def irs(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    rows: int | None = 10_000,
    quantile: float = 0.99,
    factor_bins: int | None = 20,
) -> Result:
    """`rows` are drawn with replacement, None takes the whole table; `factor_bins` None keeps the true levels."""
    interventional = Groups(factors).full_product
    if rows is not None:
        chosen = rng.integers(len(codes), size=rows)
        codes, factors = codes[chosen], factors[chosen]
    levels, _, _ = varying(factors)
    kept = np.ptp(codes, axis=0) > 0
    z = codes[:, kept].astype(np.float64)
    reach = np.abs(z - z.mean(axis=0)).max(axis=0)  # m

    def robustness(levels: np.ndarray, quantile: float) -> np.ndarray:
        return 1 - deviations(z, levels, quantile) / reach[:, None]

    binned = levels if factor_bins is None else discretise(levels, factor_bins)
    matrix = np.zeros((len(kept), levels.shape[1]))
    matrix[kept] = robustness(binned, quantile)
    return {
        "score": average(matrix[kept], reach),
        "largest": average(robustness(binned, 1.0), reach),
        "true_levels": average(robustness(levels, quantile), reach),
        "kept_codes": int(kept.sum()),
        "interventional": interventional,
        "matrix": matrix,  # (D, K), zeros for constant codes
        "best_factor": np.where(kept, matrix.argmax(axis=1), -1),  # (D,)
    }


def deviations(z: np.ndarray, levels: np.ndarray, quantile: float) -> np.ndarray:
    """(D, K): mean_u d_ik(u)."""
    found = np.empty((z.shape[1], levels.shape[1]))
    for k, level in enumerate(levels.T):
        order = np.argsort(level, kind="stable")
        groups = np.split(z[order], np.flatnonzero(np.diff(level[order])) + 1)
        of_level = [np.quantile(np.abs(group - group.mean(axis=0)), quantile, axis=0) for group in groups]
        found[:, k] = np.mean(of_level, axis=0)
    return found


def average(matrix: np.ndarray, reach: np.ndarray) -> float:
    """The best factor of every code, weighted by its reach."""
    return float(np.average(matrix.max(axis=1), weights=reach)) if len(reach) else 0.0
