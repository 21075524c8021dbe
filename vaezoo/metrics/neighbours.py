"""The share of an image's nearest codes that have its class."""

import numpy as np
from scipy.spatial.distance import cdist

from vaezoo.metrics.directions import Better
from vaezoo.metrics.groups import draw_stratified
from vaezoo.metrics.protocol import Result, Skip

BLOCK = 500  # This many rows have their distances to all others in memory.


@Better(higher=("score",))
def knn_purity(
    test_codes: np.ndarray, test_labels: np.ndarray, rng: np.random.Generator, *, k: int = 10, most: int = 5_000
) -> Result:
    """Compute the mean share of the k nearest codes (M, D) that have the label (M,) of the image; in [0, 1].

    Higher is better. Distances are Euclidean in the space of the codes, so a code on a larger scale counts for more. At
    most `most` rows are used, with the classes in proportion. `chance` is the expected score of random neighbours,
    which constant codes get, too.
    """
    rows = draw_stratified(test_labels, most, rng)
    codes, labels = test_codes[rows].astype(np.float64), test_labels[rows]
    n = len(codes)
    if n <= k:
        raise Skip(f"{n} held-out images have no {k} neighbours each")
    shares = [own_shares(codes, labels, np.arange(start, min(start + BLOCK, n)), k) for start in range(0, n, BLOCK)]
    sizes = np.bincount(labels)
    return {
        "score": float(np.concatenate(shares).mean()),
        "chance": float((sizes * (sizes - 1)).sum() / (n * (n - 1))),
        "used": n,
    }


def own_shares(codes: np.ndarray, labels: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Return for each row the share of its class among its k nearest other rows.

    Rows at the same distance as the k-th share the places that are left, so that the order of the rows does not matter.
    """
    distances = cdist(codes[rows], codes, "sqeuclidean")
    distances[np.arange(len(rows)), rows] = np.inf
    farthest = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
    nearer, tied, same = distances < farthest, distances == farthest, labels[rows, None] == labels
    places = k - nearer.sum(axis=1)
    return ((nearer & same).sum(axis=1) + places * (tied & same).sum(axis=1) / tied.sum(axis=1)) / k
