"""The evidence lower bound on held-out images and its two parts, in nats per image.

elbo = E_q(z|x)[ ln p(x|z) ] - KL(q(z|x) || p(z)) = rec - kl
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result


@Better(higher=("elbo", "rec"), repeated=("rec",))
def elbo(
    log_likelihood: np.ndarray,
    kl_per_dim: np.ndarray,
    rec_floor: np.ndarray | None = None,
    kl_weight: float | None = None,
) -> Result:
    """Compute the bound from the log densities (M,) of held-out images and the mean KL (D,) of each latent.

    The KL has weight 1, whatever beta the model was trained with. `kl_per_dim` is the KL that the model states:
    `gaussian_kl` for Gaussian latents, ln K + Σ p ln p for a categorical latent, which is decoded from a one-hot draw,
    so that the bound is strict. `kl_ratio` = kl / (-elbo) is a ratio of means. `kl_weight`, the last beta, adds

        neg_elbo_beta     = beta kl - rec                 the loss, which some papers call the negative ELBO
        kl_ratio_weighted = beta kl / neg_elbo_beta       which they plot as the share of the KL

    `log_likelihood` is the density of the decoder, constants included. Under a Bernoulli likelihood grey images have no
    density but a cross-entropy, which compares with other cross-entropies only. Then `bernoulli_on_grey` is true, and
    `rec_floor` is the mean entropy of the grey values (M,), the smallest value of -rec.
    """
    rec = float(log_likelihood.mean(dtype=np.float64))
    kl = float(kl_per_dim.sum())
    result: Result = {
        "elbo": rec - kl,
        "rec": rec,
        "kl": kl,
        "kl_ratio": kl / (kl - rec) if kl != rec else float("nan"),
        "dims_kl_above_0.01": int((kl_per_dim > 0.01).sum()),
        "kl_per_dim": kl_per_dim,
    }
    if kl_weight is not None:
        loss = kl_weight * kl - rec
        result |= {"neg_elbo_beta": loss, "kl_ratio_weighted": kl_weight * kl / loss if loss else float("nan")}
    if rec_floor is not None:
        result |= {"rec_floor": float(rec_floor.mean()), "bernoulli_on_grey": bool(rec_floor.any())}
    return result


def gaussian_kl(means: np.ndarray, logvars: np.ndarray) -> np.ndarray:
    """Return the mean over rows of KL(N(μ, σ²) || N(0, 1)) = ½ (μ² + σ² - 1 - ln σ²) for every latent, (D,) nats."""
    mean_square = np.square(means).mean(axis=0, dtype=np.float64)
    return 0.5 * (mean_square + (np.exp(logvars) - logvars).mean(axis=0, dtype=np.float64) - 1.0)
