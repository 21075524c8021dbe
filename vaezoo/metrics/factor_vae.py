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

Codes of pure noise win votes for a factor that no code knows, so a missing factor costs less than 1/K.
"""

import numpy as np

from vaezoo.metrics.elbo import gaussian_kl
from vaezoo.metrics.groups import Groups
from vaezoo.metrics.protocol import Result


def factor_vae(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    batch: int = 64,
    train: int = 10_000,
    test: int = 5_000,
    threshold: float = 0.05,
) -> Result:
    groups = Groups(factors)
    stds = codes.std(axis=0, ddof=1, dtype=np.float64)
    active = stds >= threshold
    many = len(groups.sizes)
    votes = count_votes(codes, stds, active, groups, rng, rng.integers(many, size=train), batch)
    fresh = count_votes(codes, stds, active, groups, rng, rng.integers(many, size=test), batch)
    answer = votes.argmax(axis=0)  # (D,)
    return {
        "score": float(fresh[answer, np.arange(len(stds))].sum() / test),
        "train_accuracy": float(votes.max(axis=0).sum() / train),
        "active_dims": int(active.sum()),
        "interventional": groups.full_product,
        "votes": votes,
        "stds": stds,
    }


def factor_vae_paper(
    codes: np.ndarray,
    logvars: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    batch: int = 100,
    votes: int = 800,
    min_kl: float = 0.01,
) -> Result:
    groups = Groups(factors)
    stds = codes.std(axis=0, ddof=1, dtype=np.float64)
    active = (gaussian_kl(codes, logvars) >= min_kl) & (np.ptp(codes, axis=0) > 0)
    counted = count_votes(codes, stds, active, groups, rng, np.arange(votes) % len(groups.sizes), batch)
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
) -> np.ndarray:
    """V (K, D): how often code d varied least among the active ones while factor k was fixed; zeros if none is."""
    votes = np.zeros((len(groups.sizes), len(stds)), dtype=np.int64)
    dims = np.flatnonzero(active)
    if dims.size == 0:
        return votes
    step = max(1, 2**20 // (batch * dims.size))  # a few megabytes at a time
    for start in range(0, len(k), step):
        chosen = k[start : start + step]
        rows = groups.batches(rng, chosen, batch)
        ratios = codes[rows[:, :, None], dims].var(axis=1, ddof=1, dtype=np.float64) / stds[dims] ** 2
        np.add.at(votes, (chosen, dims[ratios.argmin(axis=1)]), 1)
    return votes
