"""The evidence lower bound on held-out images and its two parts, in nats per image.

    elbo = E_q(z|x)[ ln p(x|z) ] - KL(q(z|x) || p(z))

`kl_per_dim` is the mean KL of each latent over the held-out images, as the model states it: `gaussian_kl` for Gaussian
latents, ln K + Σ p ln p for a categorical one, whose draw is then one-hot, so that the bound is strict. The weight of
the KL divergence is 1 for every model, whatever beta it was trained with. `kl_ratio` = kl / (-elbo) is a
ratio of means. Of models with a beta, at its last value, there are also

    neg_elbo_beta     = beta kl - rec                 the loss, which some papers call the negative ELBO
    kl_ratio_weighted = beta kl / neg_elbo_beta       which they plot as the share of the KL

While a model trains, the terms `elbo`, `loss`, `kl_share` and `kl_share_w` are logged, ratios as means over batches.

`log_likelihood` is whatever the decoder calls its density, constants included: nats under a Bernoulli likelihood on
grey images are a cross-entropy and compare only among themselves; `rec_floor` is then the entropy of the grey values,
which -rec cannot fall below, and the fact `bernoulli_on_grey` is true.
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
    """(D,): the mean over rows of KL(N(μ, σ²) || N(0, 1)) = ½ (μ² + σ² - 1 - ln σ²), nats, for every latent."""
    mean_square = np.square(means).mean(axis=0, dtype=np.float64)
    return 0.5 * (mean_square + (np.exp(logvars) - logvars).mean(axis=0, dtype=np.float64) - 1.0)
