"""The FactorVAE metric: which code varies least when one factor is held fixed.

Kim & Mnih, "Disentangling by factorising", ICML 2018, section 4. One vote: pick a factor k and one of its levels, draw
a batch of rows with that level, and take

    d* = argmin_d  Var_batch(z_d) / Var(z_d)

The votes fill a table V[k, d]; the classifier answers argmax_k V[k, d*]. A share in [0, 1]; chance is 1/K or a little
more, since the rule is fitted to noise. Ties go to the lowest index, and so does a code that never won a vote.

`factor_vae` has the protocol of the large-scale study (Locatello et al., ICML 2019) and the accuracy on fresh votes.
Codes with a standard deviation below 0.05 take no part: without that rule a constant code makes 0/0. The threshold is
absolute, so an informative code on a small scale is lost as well; `stds` shows it. `factor_vae_paper` follows public
re-implementations of the paper: 800 votes spread evenly over the factors, codes dropped by their KL divergence, and
the accuracy on the very votes that were counted. It reads a little higher.

A categorical latent counts as one code, and what takes the place of its variance is the Gini impurity 1 - Σ_c p_c² of
the most probable categories in the batch, over that of the whole table; it takes part from 0.05 on.

Codes of pure noise win votes for a factor that no code knows, so a missing factor costs less than 1/K.
"""

from collections.abc import Sequence

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.evidence import gaussian_kl
from vaezoo.metrics.groups import Groups
from vaezoo.metrics.protocol import Result


@Better(higher=("score",), group="disentanglement")
def factor_vae(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    categories: Sequence[int] = (),
    *,
    batch: int = 64,
    train: int = 10_000,
    test: int = 5_000,
    threshold: float = 0.05,
) -> Result:
    """`categories`: how many values each categorical latent has, whose probabilities are the last columns of codes."""
    groups = Groups(factors)
    gaussian = codes.shape[1] - sum(categories)
    codes, indicators = codes[:, :gaussian], one_hot(codes[:, gaussian:], categories)
    ginis = gini(indicators.mean(axis=0), categories)
    stds = np.append(codes.std(axis=0, ddof=1, dtype=np.float64), np.sqrt(ginis))
    active = np.append(stds[:gaussian] >= threshold, ginis >= threshold)
    many = len(groups.sizes)
    table = (codes, stds, active, groups, rng)
    votes = count_votes(*table, rng.integers(many, size=train), batch, indicators, categories)
    fresh = count_votes(*table, rng.integers(many, size=test), batch, indicators, categories)
    answer = votes.argmax(axis=0)  # (D,)
    return {
        "score": float(fresh[answer, np.arange(len(stds))].sum() / test),
        "train_accuracy": float(votes.max(axis=0).sum() / train),
        "active_dims": int(active.sum()),
        "interventional": groups.full_product,
        "votes": votes,
        "stds": stds,
    }


@Better(higher=("score",), group="disentanglement")
def factor_vae_paper(
    means: np.ndarray,
    logvars: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    batch: int = 100,
    votes: int = 800,
    min_kl: float = 0.01,
) -> Result:
    groups = Groups(factors)
    stds = means.std(axis=0, ddof=1, dtype=np.float64)
    active = (gaussian_kl(means, logvars) >= min_kl) & (np.ptp(means, axis=0) > 0)
    counted = count_votes(means, stds, active, groups, rng, np.arange(votes) % len(groups.sizes), batch)
    return {
        "score": float(counted.max(axis=0).sum() / votes),
        "active_dims": int(active.sum()),
        "interventional": groups.full_product,
        "votes": counted,
        "stds": stds,
    }


def count_votes(
    codes: np.ndarray,
    stds: np.ndarray,
    active: np.ndarray,
    groups: Groups,
    rng: np.random.Generator,
    k: np.ndarray,
    batch: int,
    indicators: np.ndarray | None = None,
    categories: Sequence[int] = (),
) -> np.ndarray:
    """V (K, D): how often code d varied least among the active ones while factor k was fixed; zeros if none is.

    D counts the columns of `codes`, then the categorical latents, given by their `indicators` (N, sum of values).
    """
    votes = np.zeros((len(groups.sizes), len(stds)), dtype=np.int64)
    dims = np.flatnonzero(active)
    if dims.size == 0:
        return votes
    step = max(1, 2**20 // (batch * dims.size))  # a few megabytes at a time
    for start in range(0, len(k), step):
        chosen = k[start : start + step]
        rows = groups.batches(rng, chosen, batch)
        spread = codes[rows[:, :, None], dims[dims < codes.shape[1]]].var(axis=1, ddof=1, dtype=np.float64)
        if indicators is not None and categories:
            among = gini(indicators[rows].mean(axis=1), categories)
            spread = np.hstack([spread, among[:, dims[dims >= codes.shape[1]] - codes.shape[1]]])
        ratios = spread / stds[dims] ** 2
        np.add.at(votes, (chosen, dims[ratios.argmin(axis=1)]), 1)
    return votes


def one_hot(probabilities: np.ndarray, categories: Sequence[int]) -> np.ndarray:
    """The most probable value of each categorical latent as indicators, float32, in the columns of `probabilities`."""
    indicators = np.zeros(probabilities.shape, np.float32)
    first = 0
    for values in categories:
        largest = probabilities[:, first : first + values].argmax(axis=1)
        indicators[np.arange(len(probabilities)), first + largest] = 1
        first += values
    return indicators


def gini(shares: np.ndarray, categories: Sequence[int]) -> np.ndarray:
    """(..., G): 1 - Σ_c p_c² of each categorical latent, from the shares (..., sum of values) of its values."""
    if not categories:
        return np.zeros((*shares.shape[:-1], 0))
    starts = np.cumsum([0, *categories[:-1]])
    return 1 - np.add.reduceat(np.square(shares, dtype=np.float64), starts, axis=-1)
