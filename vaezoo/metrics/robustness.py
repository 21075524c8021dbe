"""IRS, the interventional robustness score: how little a code changes when all factors but one are changed.

Suter, Miladinović, Schölkopf & Bauer, "Robustly disentangled causal mechanisms", ICML 2019, section 4, in the form of
the large-scale study (Locatello et al., ICML 2019). m_i is the largest distance of code i from its mean, and d_ik(u) is
the 99th percentile of the distances from their mean among the rows with level u of factor k:

    IRS_ik = 1 - mean_u d_ik(u) / m_i        score = Σ_i m_i max_k IRS_ik / Σ_i m_i
"""

from collections.abc import Sequence

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.entropies import discretise
from vaezoo.metrics.groups import FEWEST, Groups, leave_out_rare, renumber_levels
from vaezoo.metrics.protocol import Result


@Better(higher=("score",), group="disentanglement")
def irs(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    factor_names: Sequence[str] = (),
    *,
    rows: int | None = 10_000,
    quantile: float = 0.99,
    factor_bins: int | None = 20,
) -> Result:
    """Compute IRS of codes (N, D) for factors (N, K); in [0, 1], higher is better.

    `rows` rows are drawn with replacement; None takes the whole table. A factor with a level of fewer than 8 different
    rows among these is left out. Constant codes are left out, and without any
    other code the score is 0. Random codes get about 0.3, and a noisy code with a large range dominates because m_i is
    its weight. The study puts the levels of each factor into 20 `factor_bins`, which merges the levels of a factor that
    has more; None keeps them, as in `true_levels`. `largest` replaces the percentile by the maximum, as the paper does.
    """
    drawn_rows = np.arange(len(codes)) if rows is None else rng.integers(len(codes), size=rows)
    columns, left_out = leave_out_rare(factors[np.unique(drawn_rows)], FEWEST, factor_names)
    groups = Groups(factors[:, columns])
    codes, factors = codes[drawn_rows], factors[drawn_rows][:, columns]
    levels, _, _ = renumber_levels(factors)
    varies = np.ptp(codes, axis=0) > 0
    z = codes[:, varies].astype(np.float64)
    reach = np.abs(z - z.mean(axis=0)).max(axis=0)  # m

    def robustness(levels: np.ndarray, quantile: float) -> np.ndarray:
        return 1 - mean_distances(z, levels, quantile) / reach[:, None]

    binned = levels if factor_bins is None else discretise(levels, factor_bins)
    matrix = np.zeros((len(varies), levels.shape[1]))
    matrix[varies] = robustness(binned, quantile)
    return {
        "score": average_best(matrix[varies], reach),
        "largest": average_best(robustness(binned, 1.0), reach),
        "true_levels": average_best(robustness(levels, quantile), reach),
        "kept_codes": int(varies.sum()),
        "interventional": groups.full_product,
        **({"left_out": left_out} if left_out else {}),
        "matrix": matrix,  # (D, K), zeros for constant codes
        "best_factor": np.where(varies, matrix.argmax(axis=1), -1),  # (D,)
    }


def mean_distances(z: np.ndarray, levels: np.ndarray, quantile: float) -> np.ndarray:
    """Return mean_u d_ik(u), (D, K), for codes z (N, D) and levels (N, K)."""
    distances = np.empty((z.shape[1], levels.shape[1]))
    for k, level in enumerate(levels.T):
        order = np.argsort(level, kind="stable")
        groups = np.split(z[order], np.flatnonzero(np.diff(level[order])) + 1)
        by_level = [np.quantile(np.abs(group - group.mean(axis=0)), quantile, axis=0) for group in groups]
        distances[:, k] = np.mean(by_level, axis=0)
    return distances


def average_best(matrix: np.ndarray, reach: np.ndarray) -> float:
    """Return the mean of the largest entry of every row, weighted by the reach (D,); 0 without rows."""
    return float(np.average(matrix.max(axis=1), weights=reach)) if len(reach) else 0.0
