"""The FactorVAE metric: which code varies least when one factor is held fixed.

Kim & Mnih, "Disentangling by factorising", ICML 2018, section 4. For one vote, draw a factor k and one of its levels,
draw a batch of rows with that level, and vote for

    d* = argmin_d  Var_batch(z_d) / Var(z_d)

The votes are counted in a table V[k, d], and the classifier predicts argmax_k V[k, d*]. The score is its accuracy, a
share in [0, 1], higher is better; chance is 1/K or a little more, because the classifier is fitted to noise. Ties go to
the lowest index, and so does a code without a vote. Codes of pure noise win the votes for a factor about which no code
is informative, so a missing factor costs less than 1/K.
"""

from collections.abc import Sequence

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.evidence import gaussian_kl
from vaezoo.metrics.groups import FEWEST, Groups
from vaezoo.metrics.protocol import Result


@Better(higher=("score",), group="disentanglement")
def factor_vae(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    categories: Sequence[int] = (),
    factor_names: Sequence[str] = (),
    *,
    batch: int = 64,
    train: int = 10_000,
    test: int = 5_000,
    threshold: float = 0.05,
) -> Result:
    """Compute the score with the protocol of the large-scale study (Locatello et al., ICML 2019), on other votes.

    Codes (N, D) with a standard deviation below `threshold` are left out, because a constant code gives 0/0. The
    threshold is absolute, so it also leaves out informative codes on a small scale; `stds` shows this.

    `categories` are the numbers of values of the categorical latents, whose probabilities are the last columns of
    codes. A categorical latent counts as one code. Its variance is replaced by the Gini impurity 1 - Σ_c p_c² of the
    most probable categories, which must be at least `threshold`, too.
    """
    groups = Groups(factors, FEWEST, factor_names)
    groups.check_choice()
    gaussian = codes.shape[1] - sum(categories)
    codes, indicators = codes[:, :gaussian], one_hot(codes[:, gaussian:], categories)
    ginis = gini(indicators.mean(axis=0), categories)
    stds = np.append(codes.std(axis=0, ddof=1, dtype=np.float64), np.sqrt(ginis))
    active = np.append(stds[:gaussian] >= threshold, ginis >= threshold)
    count = len(groups.sizes)
    table = (codes, stds, active, groups, rng)
    votes = count_votes(*table, rng.integers(count, size=train), batch, indicators, categories)
    test_votes = count_votes(*table, rng.integers(count, size=test), batch, indicators, categories)
    prediction = votes.argmax(axis=0)  # (D,)
    return {
        "score": float(test_votes[prediction, np.arange(len(stds))].sum() / test),
        "train_accuracy": float(votes.max(axis=0).sum() / train),
        "active_dims": int(active.sum()),
        **groups.facts,
        "votes": votes,
        "stds": stds,
    }


@Better(higher=("score",), group="disentanglement")
def factor_vae_paper(
    means: np.ndarray,
    logvars: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    factor_names: Sequence[str] = (),
    *,
    batch: int = 100,
    votes: int = 800,
    min_kl: float = 0.01,
) -> Result:
    """Compute the score as public implementations of the paper do: with the accuracy on the counted votes themselves.

    The votes are distributed evenly over the factors, and codes (N, D) with a mean KL below `min_kl` nats are left out.
    The score is a little higher than that of `factor_vae`.
    """
    groups = Groups(factors, FEWEST, factor_names)
    groups.check_choice()
    stds = means.std(axis=0, ddof=1, dtype=np.float64)
    active = (gaussian_kl(means, logvars) >= min_kl) & (np.ptp(means, axis=0) > 0)
    counted = count_votes(means, stds, active, groups, rng, np.arange(votes) % len(groups.sizes), batch)
    return {
        "score": float(counted.max(axis=0).sum() / votes),
        "active_dims": int(active.sum()),
        **groups.facts,
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
    """Count how often code d varied least among the `active` codes while factor k was fixed: V (K, D).

    `k` (n,) are the fixed factors. D counts the columns of `codes` and then the categorical latents, which are the
    `indicators` (N, sum of values). Without an active code V is 0.
    """
    votes = np.zeros((len(groups.sizes), len(stds)), dtype=np.int64)
    dims = np.flatnonzero(active)
    if dims.size == 0:
        return votes
    step = max(1, 2**20 // (batch * dims.size))  # This many votes need a few megabytes.
    for start in range(0, len(k), step):
        fixed = k[start : start + step]
        rows = groups.draw_batches(rng, fixed, batch)
        spread = codes[rows[:, :, None], dims[dims < codes.shape[1]]].var(axis=1, ddof=1, dtype=np.float64)
        if indicators is not None and categories:
            impurity = gini(indicators[rows].mean(axis=1), categories)
            spread = np.hstack([spread, impurity[:, dims[dims >= codes.shape[1]] - codes.shape[1]]])
        ratios = spread / stds[dims] ** 2
        np.add.at(votes, (fixed, dims[ratios.argmin(axis=1)]), 1)
    return votes


def one_hot(probabilities: np.ndarray, categories: Sequence[int]) -> np.ndarray:
    """Return indicators of the most probable value of each categorical latent, as `probabilities` in float32."""
    indicators = np.zeros(probabilities.shape, np.float32)
    first = 0
    for values in categories:
        largest = probabilities[:, first : first + values].argmax(axis=1)
        indicators[np.arange(len(probabilities)), first + largest] = 1
        first += values
    return indicators


def gini(shares: np.ndarray, categories: Sequence[int]) -> np.ndarray:
    """Return the Gini impurity 1 - Σ_c p_c² of each of G categorical latents, (..., G).

    `shares` (..., sum of values) are those of the values of all latents.
    """
    if not categories:
        return np.zeros((*shares.shape[:-1], 0))
    starts = np.cumsum([0, *categories[:-1]])
    return 1 - np.add.reduceat(np.square(shares, dtype=np.float64), starts, axis=-1)
