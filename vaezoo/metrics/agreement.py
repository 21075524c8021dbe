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
from vaezoo.metrics.predictors import lasso, standardise
from vaezoo.metrics.protocol import Skip
from vaezoo.progress import progress


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
    tables = [rankdata(z, axis=0) if similarity == "spearman" else z for z in codes]
    columns = [standardise(z)[0] * counts for z, counts in zip(tables, informative, strict=True)]
    ends = np.cumsum([len(counts) for counts in informative])[:-1]
    all_columns = np.concatenate(columns, axis=1)
    pairs = np.empty((len(codes), len(codes)))
    with progress("agreement", len(codes), "run") as bar:
        for i, x in enumerate(columns):
            alike = np.abs(lasso(x, all_columns, alpha) if similarity == "lasso" else x.T @ all_columns / len(x))
            for j, block in enumerate(np.split(alike, ends, axis=1)):
                pairs[i, j] = pair_score(block[informative[i]][:, informative[j]], pooling)
            bar.update()
    return {
        "scores": np.array([score_among(pairs, i, range(len(codes))) for i in range(len(codes))]),
        "pairs": pairs,
        "kept": np.array([counts.sum() for counts in informative]),
    }


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
