"""The log-likelihood of held-out images, bounded from below by importance sampling; nats per image.

Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, eq. 8. With K draws z_k ~ q(z|x),

    iwae_K = mean over images of  ln (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x)

K = 1 is the evidence lower bound; in expectation more draws never lower the value, and it stays below ln p(x).
`iwae_K_error` is the standard error of the mean over images, one standard deviation: it says nothing of what is still
missing to ln p(x). K is part of the name, for values compare at equal K only. A Bernoulli likelihood on grey images is
no density, here as in the bound.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.special import logsumexp

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result

LogWeights = Callable[[int | None, int], Iterator[tuple[slice, np.ndarray]]]


@Better(higher=("iwae_*",), aside=("*_error", "iwae_images"))
def iwae(log_weights: LogWeights, *, samples: int = 5_000, rows: int | None = 1_000) -> Result:
    """`log_weights(rows, samples)` gives the ln p(x, z) - ln q(z|x) of random held-out images block by block."""
    estimates = log_mean_weights(log_weights(rows, samples), samples)
    return {
        f"iwae_{samples}": float(estimates.mean()),
        f"iwae_{samples}_error": float(estimates.std() / np.sqrt(len(estimates))),
        "iwae_images": len(estimates),
    }


def log_mean_weights(blocks: Iterator[tuple[slice, np.ndarray]], samples: int) -> np.ndarray:
    """(N,): the logarithm of each image's mean weight, summed up in float64 as the blocks (b, s) come."""
    log_sums: dict[tuple[int, int], np.ndarray] = {}  # of the images start ... stop - 1
    for here, log_w in blocks:
        images = here.start, here.stop
        log_sum = logsumexp(log_w.astype(np.float64), axis=1)
        log_sums[images] = np.logaddexp(log_sums.get(images, -np.inf), log_sum)
    return np.concatenate(list(log_sums.values())) - np.log(samples)
