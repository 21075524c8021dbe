"""Codes in the plane by t-SNE (van der Maaten & Hinton, 2008)."""

from typing import NamedTuple

import numpy as np
from sklearn.manifold import TSNE

from vaezoo.evaluation.inputs import Missing
from vaezoo.metrics.array_checks import varies
from vaezoo.metrics.groups import draw_stratified
from vaezoo.seeds import derive

ROWS = 5000  # at most, because the time grows faster than the number of rows
PERPLEXITY = 30.0


class Plane(NamedTuple):
    """Points in the plane, and the codes that they stand for."""

    points: np.ndarray  # (n, 2)
    rows: np.ndarray  # (n,) indices into the codes
    perplexity: float | None  # None where the codes have two columns, which need no embedding


def embed(codes: np.ndarray, labels: np.ndarray | None, seed: int) -> Plane:
    """Lay at most ROWS of the codes (N, D) out in the plane, each class (N,) with its share of the rows.

    The same seed gives the same points. Distances between groups and sizes of groups mean nothing, and an overlap of
    groups may come from the embedding. Fewer than four codes lie where their first two columns are. Raise Missing for
    codes without variance, whose start by principal components would be NaN, which kills the process.
    """
    if len(codes) and not varies(codes):
        raise Missing(f"the codes have no variance: all {len(codes)} rows are the same")
    rng = np.random.default_rng(derive(seed, "rows in the plane"))
    classes = np.zeros(len(codes), np.int64) if labels is None else labels
    rows = draw_stratified(classes, ROWS, rng)
    points = codes[rows].astype(np.float64)
    if codes.shape[1] <= 2 or len(rows) < 4:
        return Plane(np.pad(points, ((0, 0), (0, max(0, 2 - codes.shape[1]))))[:, :2], rows, None)
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    tsne = TSNE(
        n_components=2,
        perplexity=perplexity,
        early_exaggeration=12.0,
        learning_rate="auto",
        max_iter=1000,
        init="pca",
        metric="euclidean",
        method="barnes_hut",
        angle=0.5,
        random_state=derive(seed, "t-SNE") % 2**32,
    )
    return Plane(tsne.fit_transform(points), rows, perplexity)
