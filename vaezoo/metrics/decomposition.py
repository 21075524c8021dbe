"""The three components of the mean KL divergence, under the aggregate posterior of the evaluated rows; nats per image.

Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018, eq. 2.
With q(z) = (1/n) Σ_i q(z|x_i) over n rows,

    mean KL = MI + TC + DW
    MI = E[ ln q(z|x) - ln q(z) ]                 index-code information, ln n at most          `kl_mi`
    TC = E[ ln q(z) - Σ_d ln q(z_d) ]             total correlation of samples, not of means    `kl_tc`
    DW = Σ_d E[ ln q(z_d) - ln p(z_d) ]           divergence of each latent from its prior      `kl_dw`

Only E[ln q(z)] has neither a formula nor a grid, so MI is estimated from samples; most of the noise cancels because
ln q(z|x) is taken at the same sample. H(z|x) has a formula, and the entropies of single latents come from a grid:

    DW = Σ_d ( E[-ln p(z_d)] - H(z_d) )           TC = Σ_d H(z_d) - H(z|x) - MI

Categorical latents have uniform priors; their entropies are sums.

The three components add up to the mean KL of these rows exactly (`elbo` reports the mean KL of the held-out rows).
The sampling error of TC is that of MI with the opposite sign: `kl_mi_error`, one standard deviation. So a TC near 0 can
be negative.

While posteriors hardly overlap, MI is close to ln n: it grows with the number of components n, and TC falls. So MI and
TC compare at equal `kl_components` only. Where MI is above 90 % of ln n, the fact `saturated` is true: MI is then a
lower bound and TC an upper bound. Nothing here depends on a batch, unlike the terms that beta-TCVAE trains with.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.special import entr

from vaezoo.metrics.aggregate import entropies_by_binning, integration_interval
from vaezoo.metrics.directions import Better
from vaezoo.metrics.mig import deviations
from vaezoo.metrics.protocol import Result


@Better(lower=("kl_tc",), group="easy")
def kl_decomposition(
    codes: np.ndarray,
    logvars: np.ndarray,
    rng: np.random.Generator,
    categories: Sequence[int] = (),
    *,
    samples: int = 10_000,
    components: int | None = 10_000,
) -> Result:
    """Compute MI, TC and DW of the posteriors of codes (N, D) and log variances (N, J).

    The components are `components` random rows, None takes all; `samples` draws are spread evenly over them.
    `categories` are the numbers of values of the categorical latents, whose probabilities are the last columns of
    `codes`; `logvars` has the Gaussian latents only.
    """
    if components is not None and components < len(codes):
        rows = rng.choice(len(codes), components, replace=False)
        codes, logvars = codes[rows], logvars[rows]
    mu, sigma = codes[:, : logvars.shape[1]].astype(np.float64), deviations(logvars)
    first = np.cumsum([logvars.shape[1], *categories])
    probabilities = [codes[:, a:b].astype(np.float64) for a, b in pairwise(first)]

    information = log_ratios(mu, sigma, rng, samples, probabilities)
    mi = float(information.mean())
    # H(z_d), E[-ln p(z_d)] and H(z_d|x), each (D,).
    entropies = np.array([marginal_entropy(m, s, rng, samples) for m, s in zip(mu.T, sigma.T, strict=True)])
    cross_entropies = 0.5 * (np.log(2 * np.pi) + np.mean(mu**2 + sigma**2, axis=0))
    posterior_entropies = 0.5 * np.log(2 * np.pi * np.e) + np.log(sigma).mean(axis=0)
    if probabilities:
        entropies = np.append(entropies, [entr(p.mean(axis=0)).sum() for p in probabilities])
        cross_entropies = np.append(cross_entropies, np.log(categories))
        posterior_entropies = np.append(posterior_entropies, [entr(p).sum(axis=1).mean() for p in probabilities])
    return {
        "kl_mi": mi,
        "kl_tc": float((entropies - posterior_entropies).sum()) - mi,
        "kl_dw": float((cross_entropies - entropies).sum()),
        "kl_mi_error": float(information.std() / np.sqrt(samples)),
        "kl_components": len(mu),
        "saturated": bool(mi > 0.9 * np.log(len(mu)) > 0),
        "kl_dw_per_dim": cross_entropies - entropies,
    }


def marginal_entropy(mu: np.ndarray, sigma: np.ndarray, rng: np.random.Generator, samples: int) -> float:
    """Return H(z_d) of one latent with posterior means and deviations (n,), in nats.

    The grid is exact within 1e-5 nats. Where more than one posterior in a thousand is too narrow for it, H is sampled.
    """
    low, high, _ = integration_interval(mu, sigma)
    if np.mean(sigma < 2 * (high - low) / 2**15) > 1e-3:
        information = log_ratios(mu[:, None], sigma[:, None], rng, samples).mean()
        return float(0.5 * np.log(2 * np.pi * np.e) + np.log(sigma).mean() + information)
    single_level = np.zeros((len(mu), 1), dtype=np.int64)
    return entropies_by_binning(mu, sigma, single_level, np.ones(1, dtype=np.int64), width=0.02)[0]


def log_ratios(
    mu: np.ndarray,
    sigma: np.ndarray,
    rng: np.random.Generator,
    samples: int,
    probabilities: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Draw z ~ q(z|x) and return ln q(z|x) - ln q(z), (samples,); each of the n rows is drawn about equally often.

    Categorical latents are part of z: each of the `probabilities` (n, values) adds ln p_i(s) to ln q(z|x_i).

    With the square expanded, ln q(z_s|x_i) = z_s² · (-½σ_i⁻²) + z_s · (μ_i σ_i⁻²) + c_i is one product of matrices
    [S, 2D] × [2D, n]. It is computed in float64 because large terms cancel, and the entry of a sample and its own row
    is replaced by its exact value. Blocks of rows and samples keep the memory below 100 MB.
    """
    mu = mu - mu.mean(axis=0)  # Centred means make the terms that cancel smaller.
    origins = np.resize(rng.permutation(len(mu)), samples)  # the row of each sample
    noise = rng.standard_normal((samples, mu.shape[1]))
    log_own = -0.5 * np.square(noise).sum(axis=1) - np.log(sigma[origins]).sum(axis=1)
    z = mu[origins] + sigma[origins] * noise
    parts = [np.square(z), z]
    log_p = [np.log(np.maximum(p, 1e-300)) for p in probabilities]
    for log_values in log_p:
        gumbel = rng.gumbel(size=(samples, log_values.shape[1]))
        indicators = np.eye(log_values.shape[1])[(log_values[origins] + gumbel).argmax(axis=1)]
        log_own += (log_values[origins] * indicators).sum(axis=1)
        parts.append(indicators)
    powers = np.hstack(parts)

    log_sum = np.full(samples, -np.inf)  # The common factor (2π)^(-D/2) of all densities cancels in the ratio.
    for start in range(0, len(mu), 4096):
        rows = slice(start, start + 4096)
        m, s = mu[rows], sigma[rows]
        coefficients = np.hstack([-0.5 / s**2, m / s**2, *(log_values[rows] for log_values in log_p)]).T
        constants = -0.5 * np.square(m / s).sum(axis=1) - np.log(s).sum(axis=1)
        for first in range(0, samples, 512):
            block = slice(first, first + 512)
            log_q = powers[block] @ coefficients + constants
            column = origins[block] - start
            here = np.flatnonzero((column >= 0) & (column < len(m)))
            log_q[here, column[here]] = log_own[block][here]
            peak = log_q.max(axis=1)
            log_q -= peak[:, None]
            log_sum[block] = np.logaddexp(log_sum[block], peak + np.log(np.exp(log_q, out=log_q).sum(axis=1)))
    return log_own - log_sum + np.log(len(mu))
