"""The dependence between codes that are modelled as one Gaussian with covariance Σ; lower is better.

    gtc = ½ ( Σ_i ln Σ_ii - ln det Σ )                          total correlation, nats, ≥ 0
    gwc = 2 tr Σ - 2 tr (D^½ Σ D^½)^½,     D = diag(Σ)          squared W2 distance to independent codes, ≥ 0

Both scores are from the large-scale study (Locatello et al., ICML 2019). They use posterior means, so a collapsed model
looks excellent. DIP-VAE is trained with a similar penalty.
"""

import numpy as np

from vaezoo.metrics.correlations import covariance, pearson
from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result


@Better(lower=("score",), group="easy")
def gtc(codes: np.ndarray, *, min_variance: float = 1e-4) -> Result:
    """Compute the Gaussian total correlation of codes (N, D).

    It is inf where codes determine one another (an eigenvalue of the correlation matrix is at most 1e-12) and nan where
    a code is constant. `active` is the value of the codes with a variance above `min_variance`, with eigenvalues of at
    least 1e-12.
    """
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
    """Return -½ ln det of a correlation matrix, which is gtc because gtc does not depend on the scale of the codes."""
    return max(0.0, float(-0.5 * np.log(eigenvalues).sum()))


@Better(lower=("score",), group="easy")
def gwc(codes: np.ndarray) -> Result:
    """Compute the Gaussian Wasserstein correlation of codes (N, D), in the unit of their variance.

    `normalised` is divided by tr Σ.
    """
    sigma = covariance(codes)
    stds = np.sqrt(np.diag(sigma))
    trace = float(np.trace(sigma))
    eigenvalues = np.linalg.eigvalsh(stds[:, None] * sigma * stds)
    distance = max(0.0, 2 * trace - 2 * float(np.sqrt(np.maximum(eigenvalues, 0.0)).sum()))
    return {"score": distance, "normalised": distance / trace if trace > 0 else float("nan")}
