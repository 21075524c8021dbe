"""Where the mean KL divergence comes from, under the aggregate posterior of the evaluated rows; nats per image.

Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018, eq. 2.
With q(z) = (1/n) Σ_i q(z|x_i) over n rows, the components,

    mean KL = MI + TC + DW
    MI = E[ ln q(z|x) - ln q(z) ]                 index-code information, ln n at most          `kl_mi`
    TC = E[ ln q(z) - Σ_d ln q(z_d) ]             total correlation of samples, not of means    `kl_tc`
    DW = Σ_d E[ ln q(z_d) - ln p(z_d) ]           divergence of each latent from its prior      `kl_dw`

Only E[ln q(z)] is out of reach of formulas and grids. It is sampled, in MI, where ln q(z|x) of the same sample takes
most of the noise away. The entropy of q(z|x) is known, and those of single latents come from a grid:

    DW = Σ_d ( E[-ln p(z_d)] - H(z_d) )           TC = Σ_d H(z_d) - H(z|x) - MI

Categorical latents have uniform priors and sums in place of grids, with Gaussian latents beside them.

So nothing is left over: the three add up to the mean KL of these rows (`elbo` reports that of the held-out ones), and
the error of MI is that of TC with its sign reversed: `kl_mi_error`, one standard deviation. Within it a TC near 0 can
come out negative.

While posteriors hardly overlap, MI is close to ln n and grows with every component, at the expense of TC: compare both
at equal `kl_components` only. Above 90 % of ln n the fact `saturated` is true: MI is then a lower bound, TC an upper
one. Nothing here depends on a batch, unlike the terms that beta-TCVAE trains with.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.special import xlogy

from vaezoo.metrics.aggregate import binned, interval
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
    """`samples` draws spread evenly over the components, which are that many random rows; None takes all rows.

    Of `categories`, the probabilities of each value are the last columns of `codes`; the logvars have no such columns.
    """
    if components is not None and components < len(codes):
        rows = rng.choice(len(codes), components, replace=False)
        codes, logvars = codes[rows], logvars[rows]
    mu, sigma = codes[:, : logvars.shape[1]].astype(np.float64), deviations(logvars)
    first = np.cumsum([logvars.shape[1], *categories])
    probabilities = [codes[:, a:b].astype(np.float64) for a, b in pairwise(first)]

    information = log_ratios(mu, sigma, rng, samples, probabilities)
    mi = float(information.mean())
    entropies = np.array([marginal_entropy(m, s, rng, samples) for m, s in zip(mu.T, sigma.T, strict=True)])
    cross_entropies = 0.5 * (np.log(2 * np.pi) + np.mean(mu**2 + sigma**2, axis=0))
    given_image = 0.5 * np.log(2 * np.pi * np.e) + np.log(sigma).mean(axis=0)  # (D,), as the other two
    if probabilities:  # the sums of categorical latents are short: nothing is sampled for them
        entropies = np.append(entropies, [entropy(p.mean(axis=0)) for p in probabilities])
        cross_entropies = np.append(cross_entropies, np.log(categories))
        given_image = np.append(given_image, [entropy(p).mean() for p in probabilities])
    return {
        "kl_mi": mi,
        "kl_tc": float((entropies - given_image).sum()) - mi,
        "kl_dw": float((cross_entropies - entropies).sum()),
        "kl_mi_error": float(information.std() / np.sqrt(samples)),
        "kl_components": len(mu),
        "saturated": bool(mi > 0.9 * np.log(len(mu)) > 0),
        "kl_dw_per_dim": cross_entropies - entropies,
    }


def marginal_entropy(mu: np.ndarray, sigma: np.ndarray, rng: np.random.Generator, samples: int) -> float:
    """H(z_d) of one latent; within 1e-5 nats, or sampled where one posterior in a thousand is too fine for the grid."""
    low, high, _ = interval(mu, sigma)
    if np.mean(sigma < 2 * (high - low) / 2**15) > 1e-3:
        information = log_ratios(mu[:, None], sigma[:, None], rng, samples).mean()
        return float(0.5 * np.log(2 * np.pi * np.e) + np.log(sigma).mean() + information)
    single_level = np.zeros((len(mu), 1), dtype=np.int64)
    return binned(mu, sigma, single_level, np.ones(1, dtype=np.int64), width=0.02)[0]


def entropy(p: np.ndarray) -> np.ndarray:
    """-Σ p ln p over the last axis, nats."""
    return -xlogy(p, p).sum(axis=-1)


def log_ratios(
    mu: np.ndarray,
    sigma: np.ndarray,
    rng: np.random.Generator,
    samples: int,
    probabilities: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """(samples,): ln q(z|x) - ln q(z) at z ~ q(z|x), each row as often as any other, give or take one.

    Categorical latents are part of z: each of the `probabilities`, (n, values), adds ln p_i(s) to ln q(z|x_i).

    With the square expanded, ln q(z_s|x_i) = z_s² · (-½σ_i⁻²) + z_s · (μ_i σ_i⁻²) + c_i is one product of matrices
    [S, 2D] × [2D, n]. It needs float64, for the large terms cancel; what a sample has to do with its own row is filled
    in exactly. Blocks of rows and samples keep the memory below 100 MB however many there are.
    """
    mu = mu - mu.mean(axis=0)  # smaller terms to cancel
    drawn = np.resize(rng.permutation(len(mu)), samples)
    noise = rng.standard_normal((samples, mu.shape[1]))
    log_own = -0.5 * np.square(noise).sum(axis=1) - np.log(sigma[drawn]).sum(axis=1)
    z = mu[drawn] + sigma[drawn] * noise
    parts = [np.square(z), z]
    log_p = [np.log(np.maximum(p, 1e-300)) for p in probabilities]
    for log_values in log_p:
        gumbel = rng.gumbel(size=(samples, log_values.shape[1]))
        indicators = np.eye(log_values.shape[1])[(log_values[drawn] + gumbel).argmax(axis=1)]
        log_own += (log_values[drawn] * indicators).sum(axis=1)
        parts.append(indicators)
    powers = np.hstack(parts)

    log_sum = np.full(samples, -np.inf)  # of the densities, each without its factor (2π)^(-D/2)
    for start in range(0, len(mu), 4096):
        m, s = mu[start : start + 4096], sigma[start : start + 4096]
        some_log_p = [log_values[start : start + 4096] for log_values in log_p]
        coefficients = np.hstack([-0.5 / s**2, m / s**2, *some_log_p]).T
        constants = -0.5 * np.square(m / s).sum(axis=1) - np.log(s).sum(axis=1)
        for first in range(0, samples, 512):
            some = slice(first, first + 512)
            log_q = powers[some] @ coefficients + constants
            column = drawn[some] - start
            here = np.flatnonzero((column >= 0) & (column < len(m)))
            log_q[here, column[here]] = log_own[some][here]
            peak = log_q.max(axis=1)
            log_q -= peak[:, None]
            log_sum[some] = np.logaddexp(log_sum[some], peak + np.log(np.exp(log_q, out=log_q).sum(axis=1)))
    return log_own - log_sum + np.log(len(mu))
