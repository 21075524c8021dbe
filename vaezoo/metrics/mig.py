"""MIG, the mutual information gap: how much more the best code knows about a factor than the next best code.

Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018, eq. 6:

    MIG = (1/K) Σ_k [ I_(1)(k) - I_(2)(k) ] / H(v_k)        I_(1), I_(2): the two largest I(z_d; v_k) over d

MIG is in [0, 1], higher is better; informations are in nats. A factor that is represented by two codes (an angle by its
cosine and its sine) gets 0, although no other factor shares these codes.

`mig_hist` estimates I from binned posterior means; this is the protocol of the large-scale study (Locatello et al.,
ICML 2019). `mig_exact` is the form of the paper. `mig_sampled` estimates the quantity of `mig_exact` as the authors'
code did; it is slow and noisy and serves to check `mig_exact`.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from vaezoo.metrics import aggregate
from vaezoo.metrics.directions import Better
from vaezoo.metrics.entropies import discretise, factor_entropies, gap, mutual_information
from vaezoo.metrics.groups import FEWEST, leave_out_rare, renumber_levels
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
    """Compute MIG from posterior means (N, D) in bins of equal width and factors (N, K).

    `rows` rows are drawn with replacement; None takes the whole table. Twenty bins cannot separate 32 or 40 levels, so
    perfect linear codes of dSprites get 0.902. The estimate of I is biased upwards by about (bins - 1)(levels - 1) / 2n
    nats, so scores compare at equal numbers of rows only.
    """
    if codes.shape[1] < 2:
        raise Skip("a gap needs two codes or more")
    if rows is not None:
        drawn_rows = rng.integers(len(codes), size=rows)
        codes, factors = codes[drawn_rows], factors[drawn_rows]
    levels, _, columns = renumber_levels(factors)
    return _score_gaps(mutual_information(discretise(codes, bins), levels), levels, columns, factor_names)


@Better(higher=("score", "no_shape"), group="disentanglement")
def mig_exact(
    means: np.ndarray,
    logvars: np.ndarray,
    factors: np.ndarray,
    factor_names: Sequence[str] = (),
    *,
    estimator: str = "auto",
) -> Result:
    """Compute MIG with I = H(z_d) - H(z_d|v_k) under the posteriors of all N rows; nothing is drawn.

    Means and log variances are (N, D), factors (N, K). `estimator` is "quadrature", "binned", which agrees with it
    within 3e-4, or "auto": quadrature where that takes seconds. The paper leaves the shape of dSprites out of the mean;
    `no_shape` is that value.
    """
    if estimator not in ("auto", "quadrature", "binned"):
        raise ValueError(f"estimator={estimator!r}: expected 'auto', 'quadrature' or 'binned'")
    if estimator == "auto":
        pairs = zip(means.T, logvars.T, strict=True)
        points = sum(aggregate.count_grid_points(mu, deviations(logvar)) for mu, logvar in pairs)
        estimator = "quadrature" if len(means) * points <= 2e9 else "binned"
    exact = estimator == "quadrature"
    entropies = aggregate.entropies_by_quadrature if exact else aggregate.entropies_by_binning
    result = _score_posteriors(entropies, means, logvars, factors, factor_names)
    return {**result, "binned": not exact}


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
    """Compute MIG as `mig_exact`, with entropies averaged over at most `samples` draws of each population."""
    entropies = partial(aggregate.entropies_by_sampling, rng=rng, samples=samples)
    return _score_posteriors(entropies, means, logvars, factors, factor_names)


def _score_posteriors(
    entropies: Callable[..., aggregate.Entropies],
    means: np.ndarray,
    logvars: np.ndarray,
    factors: np.ndarray,
    factor_names: Sequence[str],
) -> Result:
    """Compute MIG (D codes, K varying factors) with one of the estimators of `aggregate`.

    A factor with a level of fewer than 8 rows is left out, because the entropy given such a level is that of single
    posteriors, so that any code would seem to know the factor.
    """
    if means.shape[1] < 2:
        raise Skip("a gap needs two codes or more")
    common, left_out = leave_out_rare(factors, FEWEST, factor_names)
    levels, sizes, columns = renumber_levels(factors[:, common])
    information = np.empty((means.shape[1], len(sizes)))
    for d, (mu, logvar) in enumerate(zip(means.T, logvars.T, strict=True)):
        entropy, conditional_entropies = entropies(mu.astype(np.float64), deviations(logvar), levels, sizes)
        information[d] = np.maximum(entropy - conditional_entropies, 0.0)
    result = _score_gaps(information, levels, common[columns], factor_names)
    return {**result, **({"left_out": left_out} if left_out else {})}


def deviations(logvar: np.ndarray) -> np.ndarray:
    """Return σ = exp(logvar / 2), at least 1e-8 because float32 codes have no finer differences."""
    return np.maximum(np.exp(logvar.astype(np.float64) / 2), 1e-8)


def _score_gaps(
    information: np.ndarray, levels: np.ndarray, columns: np.ndarray, factor_names: Sequence[str]
) -> Result:
    """Return MIG from I (D, K) and the levels (N, K); `columns` (K,) are their places in the table of factors."""
    entropies = factor_entropies(levels)
    gaps = gap(information) / entropies
    result: Result = {
        "score": float(gaps.mean()),
        "gaps": gaps,  # (K,)
        "information": information,  # (D, K), nats
        "factor_entropies": entropies,  # (K,), nats
    }
    names = [factor_names[k] for k in columns] if len(factor_names) else []
    if "shape" in names and len(names) > 1:
        result["no_shape"] = float(np.delete(gaps, names.index("shape")).mean())
    return result
