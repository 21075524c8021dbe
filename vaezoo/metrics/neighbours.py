"""Whether images of one class are neighbours: the mean share of an image's k nearest codes that have its class.

Distances are Euclidean in the space of codes, not in a plane that they were drawn in, so a code on a larger scale
counts for more. The image itself is none of its neighbours. Of several rows at the distance of the k-th, each counts
for an equal part of the places left, so the order of rows does not matter, and constant codes get `chance`: what
neighbours drawn at random would get. In [0, 1], higher is better.
"""

import numpy as np
from scipy.spatial.distance import cdist

from vaezoo.metrics.directions import Better
from vaezoo.metrics.groups import stratified
from vaezoo.metrics.protocol import Result, Skip

AT_ONCE = 500  # rows whose distances to all others are held in memory


@Better(higher=("score",))
def knn_purity(
    test_codes: np.ndarray, test_labels: np.ndarray, rng: np.random.Generator, *, k: int = 10, most: int = 5_000
) -> Result:
    """Codes (M, D) and labels (M,), of which at most `most` rows are used, each class with its share of them."""
    chosen = stratified(test_labels, most, rng)
    codes, labels = test_codes[chosen].astype(np.float64), test_labels[chosen]
    many = len(codes)
    if many <= k:
        raise Skip(f"{many} held-out images have no {k} neighbours each")
    shares = [
        own_share(codes, labels, np.arange(start, min(start + AT_ONCE, many)), k) for start in range(0, many, AT_ONCE)
    ]
    sizes = np.bincount(labels)
    return {
        "score": float(np.concatenate(shares).mean()),
        "chance": float((sizes * (sizes - 1)).sum() / (many * (many - 1))),
        "used": many,
    }


def own_share(codes: np.ndarray, labels: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """For each of the rows the share of its class among its k nearest."""
    distances = cdist(codes[rows], codes, "sqeuclidean")
    distances[np.arange(len(rows)), rows] = np.inf
    farthest = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
    nearer, tied, same = distances < farthest, distances == farthest, labels[rows, None] == labels
    places = k - nearer.sum(axis=1)
    return ((nearer & same).sum(axis=1) + places * (tied & same).sum(axis=1) / tied.sum(axis=1)) / k
