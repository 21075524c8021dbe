"""UDR, unsupervised disentanglement ranking: do runs that differ in their seed alone find the same codes?

Duan et al., "Unsupervised model selection for variational disentangled representation learning", ICLR 2020, section 3.
R (D, D) says how alike each code a of one run and b of another are on the same images: the absolute weights of a Lasso
from the first to the second (`lasso`), or absolute rank correlations (`spearman`). Only informative codes count, those
with a mean KL above 0.01 nats. With c_b and r_a the largest entry of a column and of a row,

    u(i, j) = ½ [ mean_b c_b² / Σ_a R_ab  +  mean_a r_a² / Σ_b R_ab ]          0/0 = 0
    UDR of run i = median over the others j of u(j, i)

about in [0, 1], higher is better: 1 when each code of one run has a single partner in the other. The paper adds both
sums and divides by the number of codes, `pooling="paper"`: the same when both runs keep equally many. A run with one
informative code can score very high, so read it beside `kept`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import rankdata

from vaezoo.metrics.directions import Better
from vaezoo.metrics.predictors import lasso, standardise
from vaezoo.metrics.protocol import Skip
from vaezoo.progress import progress


@Better(higher=("udr_lasso*", "udr_spearman*"), repeated=("*_a2a",), group="disentanglement")
def udr(
    codes: Sequence[np.ndarray],
    kl_per_dim: Sequence[np.ndarray],
    *,
    similarity: str = "lasso",
    alpha: float = 0.1,
    min_kl: float = 0.01,
    pooling: str = "mean",
) -> dict[str, np.ndarray]:
    """Of P runs the codes (N, D) of the same N images in the same order, and the mean KL (D,) of each code.

    `scores` (P,) are each run's against all others, `pairs` (P, P) the u(i, j), from which any other scope follows.
    """
    if similarity not in ("lasso", "spearman"):
        raise ValueError(f"similarity={similarity!r}: expected 'lasso' or 'spearman'")
    if pooling not in ("mean", "paper"):
        raise ValueError(f"pooling={pooling!r}: expected 'mean' or 'paper'")
    if len(codes) < 2:
        raise Skip("agreement needs two runs or more")
    kept = [np.asarray(kl) > min_kl for kl in kl_per_dim]
    tables = [rankdata(z, axis=0) if similarity == "spearman" else z for z in codes]
    columns = [standardise(z)[0] * keep for z, keep in zip(tables, kept, strict=True)]
    ends = np.cumsum([len(keep) for keep in kept])[:-1]
    everything = np.concatenate(columns, axis=1)
    pairs = np.empty((len(codes), len(codes)))
    with progress("agreement", len(codes), "run") as bar:
        for i, x in enumerate(columns):
            alike = np.abs(lasso(x, everything, alpha) if similarity == "lasso" else x.T @ everything / len(x))
            for j, block in enumerate(np.split(alike, ends, axis=1)):
                pairs[i, j] = one_to_one(block[kept[i]][:, kept[j]], pooling)
            bar.update()
    return {
        "scores": np.array([among(pairs, i, range(len(codes))) for i in range(len(codes))]),
        "pairs": pairs,
        "kept": np.array([keep.sum() for keep in kept]),
    }


def among(pairs: np.ndarray, run: int, scope: Iterable[int]) -> float:
    """UDR of one run against the others in a scope: the median of u(j, run)."""
    return float(np.median([pairs[other, run] for other in scope if other != run]))


def one_to_one(alike: np.ndarray, pooling: str = "mean") -> float:
    """u of one matrix R; 0 where no code is left."""
    if alike.size == 0:
        return 0.0
    by_column, by_row = alone(alike.T), alone(alike)
    if pooling == "paper":
        return float((by_column.sum() + by_row.sum()) / (len(by_column) + len(by_row)))
    return float((by_column.mean() + by_row.mean()) / 2)


def alone(table: np.ndarray) -> np.ndarray:
    """For every row its largest entry, squared, over its sum; 0 for a row of zeros."""
    totals = table.sum(axis=1)
    return np.square(table.max(axis=1)) / np.where(totals > 0, totals, 1.0)
