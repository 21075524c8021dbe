"""UDR, unsupervised disentanglement ranking: do runs that differ only in their seed find the same codes?

Duan et al., "Unsupervised model selection for variational disentangled representation learning", ICLR 2020, section 3.
R (D, D) is the similarity of each code a of run i and each code b of run j on the same images: absolute weights of a
Lasso from the codes of i to those of j (`lasso`), or absolute rank correlations (`spearman`). Only informative codes
count, those with a mean KL above 0.01 nats. With c_b and r_a the largest entries of a column and of a row,

    u(i, j) = ½ [ mean_b c_b² / Σ_a R_ab  +  mean_a r_a² / Σ_b R_ab ]          0/0 = 0
    UDR of run i = median over the other runs j of u(j, i)

The score is about in [0, 1], higher is better: it is 1 when each code of one run corresponds to a single code of the
other. `pooling="paper"` is the paper's form: it adds both sums and divides by the number of codes of both runs, which
is the same when both have equally many informative codes. A run with one informative code can score very high, so read
the score beside the number of informative codes, `kept`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import rankdata

from vaezoo.errors import UserError
from vaezoo.metrics.array_checks import convert
from vaezoo.metrics.directions import Better
from vaezoo.metrics.predictors import standardise
from vaezoo.metrics.protocol import Skip
from vaezoo.progress import progress

LASSO_TOLERANCE = 1e-8  # of a weight between standardised codes
MAX_SWEEPS = 10_000


@Better(higher=("udr_lasso*", "udr_spearman*"), repeated=("*_a2a",), group="disentanglement")
def udr(
    runs: Sequence[np.ndarray],
    kls: Sequence[np.ndarray],
    *,
    similarity: str = "lasso",
    alpha: float = 0.1,
    min_kl: float = 0.01,
    pooling: str = "mean",
) -> dict[str, np.ndarray]:
    """Compute UDR of P runs from their codes (N, D) of the same images and the mean KL (D,) of each code, in nats.

    Returns the `scores` (P,) of each run against all others, the `pairs` (P, P) of u(i, j), from which scores within a
    subset of runs follow, and the number of informative codes `kept` (P,).
    """
    if similarity not in ("lasso", "spearman"):
        raise ValueError(f"similarity={similarity!r}: expected 'lasso' or 'spearman'")
    if pooling not in ("mean", "paper"):
        raise ValueError(f"pooling={pooling!r}: expected 'mean' or 'paper'")
    if len(runs) < 2:
        raise Skip("agreement needs two runs or more")
    codes = [convert(f"codes of run {i}", run, "real", "ND") for i, run in enumerate(runs)]
    informative = [convert(f"KL of run {i}", kl, "real", "D") > min_kl for i, kl in enumerate(kls)]
    if len({len(table) for table in codes}) > 1:
        raise UserError(
            f"the runs have codes of {[len(table) for table in codes]} images; they must be the same images."
        )
    columns = np.concatenate(
        [
            standardise(rankdata(z[:, counts], axis=0) if similarity == "spearman" else z[:, counts])[0]
            for z, counts in zip(codes, informative, strict=True)
        ],
        axis=1,
    )
    correlations = columns.T @ columns / len(columns)
    ends = np.cumsum([counts.sum() for counts in informative])
    pairs = np.empty((len(codes), len(codes)))
    with progress("agreement", len(codes), "run") as bar:
        for i, own in enumerate(map(slice, [0, *ends[:-1]], ends)):
            weights = correlations[own]
            if similarity == "lasso":
                weights = lasso_weights(weights[:, own], weights, alpha)
            pairs[i] = [pair_score(block, pooling) for block in np.split(np.abs(weights), ends[:-1], axis=1)]
            bar.update()
    return {
        "scores": np.array([score_among(pairs, i, range(len(codes))) for i in range(len(codes))]),
        "pairs": pairs,
        "kept": np.array([counts.sum() for counts in informative]),
    }


def lasso_weights(gram: np.ndarray, correlations: np.ndarray, alpha: float) -> np.ndarray:
    """Return the weights w (D, K) that minimise |y - x w|² / 2n + alpha |w|₁ for each column of y (n, K).

    `gram` is xᵀx / n (D, D) and `correlations` is xᵀy / n (D, K). Coordinate descent needs no more than these, so that
    each of them is computed once for all runs; a fit for each column of y took minutes for 300 runs. Columns of y are
    left out as soon as a sweep changes none of their weights by more than LASSO_TOLERANCE.
    """
    sizes = gram.diagonal()
    others = gram - np.diag(sizes)
    weights = np.zeros_like(correlations)
    active = np.arange(correlations.shape[1])
    for _ in range(MAX_SWEEPS):
        w, goals = weights[:, active], correlations[:, active]
        for d in np.flatnonzero(sizes):
            rest = goals[d] - others[d] @ w
            w[d] = (rest - np.minimum(np.maximum(rest, -alpha), alpha)) / sizes[d]
        changes = np.abs(w - weights[:, active]).max(axis=0, initial=0)
        weights[:, active] = w
        active = active[changes > LASSO_TOLERANCE]
        if not active.size:
            break
    return weights


def score_among(pairs: np.ndarray, run: int, runs: Iterable[int]) -> float:
    """Return the UDR of a run against the others of `runs`: the median of u(j, run)."""
    return float(np.median([pairs[other, run] for other in runs if other != run]))


def pair_score(alike: np.ndarray, pooling: str = "mean") -> float:
    """Return u of a similarity matrix R (D_i, D_j) of informative codes; 0 where it is empty."""
    if alike.size == 0:
        return 0.0
    by_column, by_row = largest_shares(alike.T), largest_shares(alike)
    if pooling == "paper":
        return float((by_column.sum() + by_row.sum()) / (len(by_column) + len(by_row)))
    return float((by_column.mean() + by_row.mean()) / 2)


def largest_shares(table: np.ndarray) -> np.ndarray:
    """Return the squared largest entry of each row divided by the sum of the row; 0 for a row of zeros."""
    totals = table.sum(axis=1)
    return np.square(table.max(axis=1)) / np.where(totals > 0, totals, 1.0)
