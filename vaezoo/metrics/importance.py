"""A lower bound of the log-likelihood of held-out images by importance sampling; nats per image.

Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, eq. 8. With K draws z_k ~ q(z|x),

    iwae_K = mean over images of  ln (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x)

K = 1 is the evidence lower bound. In expectation the value never falls with K and stays below ln p(x). K is part of the
name because values compare at equal K only. As in the bound, a Bernoulli likelihood of grey images is no density.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.special import logsumexp

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result

LogWeights = Callable[[int | None, int], Iterator[tuple[slice, np.ndarray]]]


@Better(higher=("iwae_*",), aside=("*_error", "iwae_images"))
def iwae(log_weights: LogWeights, *, samples: int = 5_000, rows: int | None = 1_000) -> Result:
    """Compute the bound from `log_weights(rows, samples)`, which yields ln p(x, z) - ln q(z|x) in blocks.

    `rows` random held-out images are used (None: all), with `samples` draws of each. The error is the standard error of
    the mean over images; it does not include the distance to ln p(x).
    """
    estimates = log_mean_weights(log_weights(rows, samples), samples)
    return {
        f"iwae_{samples}": float(estimates.mean()),
        f"iwae_{samples}_error": float(estimates.std() / np.sqrt(len(estimates))),
        "iwae_images": len(estimates),
    }


def log_mean_weights(blocks: Iterator[tuple[slice, np.ndarray]], samples: int) -> np.ndarray:
    """Return the logarithm of the mean weight of each image, (N,), from blocks of log weights (b, s) in any order."""
    log_sums: dict[tuple[int, int], np.ndarray] = {}  # The keys are the first image of a block and the one after it.
    for here, log_w in blocks:
        images = here.start, here.stop
        log_sum = logsumexp(log_w.astype(np.float64), axis=1)
        log_sums[images] = np.logaddexp(log_sums.get(images, -np.inf), log_sum)
    return np.concatenate(list(log_sums.values())) - np.log(samples)
