"""MIG, the mutual information gap: how much more the best code knows of a factor than the next best.

Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018, eq. 6:

    MIG = (1/K) Σ_k [ I_(1)(k) - I_(2)(k) ] / H(v_k)        I_(1), I_(2): the two largest I(z_d; v_k) over d

Range [0, 1]; informations in nats. A factor kept in two codes (an angle as cosine and sine) gets 0 although nothing is
entangled with it.

`mig_hist` bins the posterior means (protocol of the large-scale study, Locatello et al., ICML 2019). Twenty bins of
equal width cannot tell 32 or 40 levels apart, so perfect linear codes of dSprites get 0.902; and the plug-in estimate
is biased upwards by about (bins - 1)(levels - 1) / 2n nats, so compare at equal rows only.

`mig_exact` is the paper's form: I is H(z_d) - H(z_d|v_k) under the encoder's own Gaussians, over all rows, and nothing
is drawn. The paper leaves the shape of dSprites out; `no_shape` does too. `mig_sampled` estimates the same quantity as
the paper's code did; it is slow and noisy, and there to check the other.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from vaezoo.metrics import aggregate
from vaezoo.metrics.directions import Better
from vaezoo.metrics.entropies import discretise, factor_entropies, gap, mutual_information
from vaezoo.metrics.groups import varying
from vaezoo.metrics.protocol import Result, Skip


@Better(higher=("score", "no_shape"), group="disentanglement")
def mig_hist(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    factor_names: Sequence[str] = (),
    *,
    rows: int | None = 10_000,
    bins: int = 20,
) -> Result:
    """`rows` are drawn with replacement; None takes the whole table as it is."""
    if codes.shape[1] < 2:
        raise Skip("a gap needs two codes or more")
    if rows is not None:
        drawn = rng.integers(len(codes), size=rows)
        codes, factors = codes[drawn], factors[drawn]
    levels, _, kept = varying(factors)
    return _gaps(mutual_information(discretise(codes, bins), levels), levels, kept, factor_names)


@Better(higher=("score", "no_shape"), group="disentanglement")
def mig_exact(
    means: np.ndarray,
    logvars: np.ndarray,
    factors: np.ndarray,
    factor_names: Sequence[str] = (),
    *,
    estimator: str = "auto",
) -> Result:
    """`estimator`: "quadrature", "binned" (agrees within 3e-4), or "auto", quadrature while it takes seconds."""
    if estimator not in ("auto", "quadrature", "binned"):
        raise ValueError(f"estimator={estimator!r}: expected 'auto', 'quadrature' or 'binned'")
    if estimator == "auto":
        points = [aggregate.grid_points(mu, deviations(logvar)) for mu, logvar in zip(means.T, logvars.T, strict=True)]
        estimator = "quadrature" if len(means) * sum(points) <= 2e9 else "binned"
    entropies = aggregate.quadrature if estimator == "quadrature" else aggregate.binned
    result = _from_posteriors(entropies, means, logvars, factors, factor_names)
    return {**result, "binned": estimator == "binned"}


@Better(higher=("score", "no_shape"), group="disentanglement")
def mig_sampled(
    means: np.ndarray,
    logvars: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    factor_names: Sequence[str] = (),
    *,
    samples: int = 10_000,
) -> Result:
    entropies = partial(aggregate.sampled, rng=rng, samples=samples)
    return _from_posteriors(entropies, means, logvars, factors, factor_names)


def _from_posteriors(
    entropies: Callable[..., aggregate.Entropies],
    means: np.ndarray,
    logvars: np.ndarray,
    factors: np.ndarray,
    factor_names: Sequence[str],
) -> Result:
    if means.shape[1] < 2:
        raise Skip("a gap needs two codes or more")
    levels, sizes, kept = varying(factors)
    information = np.empty((means.shape[1], len(sizes)))
    for d, (mu, logvar) in enumerate(zip(means.T, logvars.T, strict=True)):
        whole, given_factor = entropies(mu.astype(np.float64), deviations(logvar), levels, sizes)
        information[d] = np.maximum(whole - given_factor, 0.0)
    return _gaps(information, levels, kept, factor_names)


def deviations(logvar: np.ndarray) -> np.ndarray:
    """σ, not below 1e-8: codes are float32 and know no finer differences."""
    return np.maximum(np.exp(logvar.astype(np.float64) / 2), 1e-8)


def _gaps(information: np.ndarray, levels: np.ndarray, kept: np.ndarray, factor_names: Sequence[str]) -> Result:
    entropies = factor_entropies(levels)
    gaps = gap(information) / entropies
    result: Result = {
        "score": float(gaps.mean()),
        "gaps": gaps,  # (K,)
        "information": information,  # (D, K), nats
        "factor_entropies": entropies,  # (K,), nats
    }
    names = [factor_names[k] for k in kept] if len(factor_names) else []
    if "shape" in names and len(names) > 1:
        result["no_shape"] = float(np.delete(gaps, names.index("shape")).mean())
    return result
