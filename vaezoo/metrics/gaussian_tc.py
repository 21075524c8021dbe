"""How far the codes, taken as one Gaussian with covariance Σ, are from independent; lower is better.

Both scores are from the large-scale study (Locatello et al., ICML 2019). They use posterior means, so a collapsed model
looks excellent, and they are close kin to the penalty that DIP-VAE is trained with.

    gtc = ½ ( Σ_i ln Σ_ii - ln det Σ )                            nats, ≥ 0
    gwc       = 2 tr Σ - 2 tr (D^½ Σ D^½)^½,     D = diag(Σ)            squared W2, ≥ 0

The first is inf for codes that determine one another (an eigenvalue of the correlation matrix below 1e-12) and nan when
a code is constant; `active` keeps the codes with a variance above 1e-4 and floors the eigenvalues at 1e-12. The second
has the unit of the codes' variance; `normalised` is divided by tr Σ.
"""

import numpy as np

from vaezoo.metrics.correlations import covariance, pearson
from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result


@Better(lower=("score",), group="easy")
def gtc(codes: np.ndarray, *, min_variance: float = 1e-4) -> Result:
    variances = np.diag(covariance(codes))
    r = pearson(codes)
    active = variances > min_variance
    eigenvalues = np.linalg.eigvalsh(r)
    if (variances == 0).any():
        score = float("nan")
    elif eigenvalues[0] <= 1e-12:
        score = float("inf")
    else:
        score = total_correlation(eigenvalues)
    return {
        "score": score,
        "active": total_correlation(np.maximum(np.linalg.eigvalsh(r[np.ix_(active, active)]), 1e-12)),
        "active_dims": int(active.sum()),
    }


def total_correlation(eigenvalues: np.ndarray) -> float:
    """-½ ln det of a correlation matrix, which is the first formula after dividing every code by its deviation."""
    return max(0.0, float(-0.5 * np.log(eigenvalues).sum()))


@Better(lower=("score",), group="easy")
def gwc(codes: np.ndarray) -> Result:
    sigma = covariance(codes)
    stds = np.sqrt(np.diag(sigma))
    trace = float(np.trace(sigma))
    eigenvalues = np.linalg.eigvalsh(stds[:, None] * sigma * stds)
    distance = max(0.0, 2 * trace - 2 * float(np.sqrt(np.maximum(eigenvalues, 0.0)).sum()))
    return {"score": distance, "normalised": distance / trace if trace > 0 else float("nan")}
