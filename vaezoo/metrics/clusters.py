"""How well clusters that were found without labels agree with the classes.

An image belongs to its most probable cluster. T[c, y] counts the n test images of cluster c and class y:

    cluster_acc_hungarian   max over one-to-one maps m of  Σ_c T[c, m(c)] / n     (Kuhn 1955)
    cluster_acc_majority    Σ_c max_y T[c, y] / n, many clusters may share a class
    cluster_acc_exemplar    a cluster takes the class of the image most probably in it (Makhzani et al., "Adversarial
                            autoencoders", 2016)
    cluster_nmi             mutual information over the arithmetic mean of both entropies
    cluster_ari             pairs of images that both partitions treat alike, less chance (Hubert & Arabie 1985)

Compare one-to-one where there are as many clusters as classes. Majority never falls when a cluster is split, so it goes
with its `cluster_count`. Neither is 1 / classes for random clusters: of ten balanced classes and 10,000 images, ten
clusters get 0.113 and 0.115 by chance, thirty get 0.046 and 0.127.

It is usual to name the clusters by the labels that they are then scored on, as above. The stricter `_train_map` takes
the names from training images; a cluster that none of them is in has no name and is always wrong.

Models without clusters have those of k-means in the codes of the test images, the best of twenty starts: `kmeans_*`.
Codes are taken as they are, so one on a larger scale counts for more. An exemplar is the image nearest to the centre.

`cluster_cnn_acc` asks whether the images bear the clusters out ("Proposed CNN" of Ye & Bors, "InfoVAEGAN"): a small
convolutional network learns the clusters of those training images whose cluster is sure, a share of
`cluster_cnn_kept`, and what it says of test images is named by the one-to-one map of the model's own clusters.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from threadpoolctl import threadpool_limits

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result, Skip


@Better(
    higher=("cluster_acc_*", "cluster_nmi", "cluster_ari"),
    repeated=("cluster_acc_majority", "*_exemplar", "*_train_map"),
)
def clustering(
    test_clusters: np.ndarray,
    test_labels: np.ndarray,
    train_clusters: np.ndarray | None = None,
    train_labels: np.ndarray | None = None,
) -> Result:
    """Clusters are (M, K) probabilities; of equally probable ones the first counts, in each column the first image."""
    known = test_labels if train_labels is None else np.concatenate([test_labels, train_labels])
    classes = int(known.max()) + 1
    found = test_clusters.argmax(axis=1)
    table = contingency(found, test_labels, test_clusters.shape[1], classes)
    exemplars = test_labels[test_clusters.argmax(axis=0)]  # (K,)
    result: Result = {
        "cluster_acc_hungarian": accuracy(table, one_to_one(table)),
        "cluster_acc_majority": accuracy(table, many_to_one(table)),
        "cluster_acc_exemplar": float((exemplars[found] == test_labels).mean()),
        "cluster_nmi": float(normalized_mutual_info_score(test_labels, found, average_method="arithmetic")),
        "cluster_ari": float(adjusted_rand_score(test_labels, found)),
        "cluster_count": len(table),
        "cluster_used": int(table.any(axis=1).sum()),
        "contingency": table,
    }
    if train_clusters is not None and train_labels is not None:
        train = contingency(train_clusters.argmax(axis=1), train_labels, len(table), classes)
        result["cluster_acc_hungarian_train_map"] = accuracy(table, one_to_one(train))
        result["cluster_acc_majority_train_map"] = accuracy(table, many_to_one(train))
    return result


@Better(
    higher=("kmeans_acc_*", "kmeans_nmi", "kmeans_ari"),
    repeated=("kmeans_acc_majority", "*_exemplar", "*_train_map"),
)
def kmeans(
    test_codes: np.ndarray,
    test_labels: np.ndarray,
    rng: np.random.Generator,
    train_codes: np.ndarray | None = None,
    train_labels: np.ndarray | None = None,
    test_clusters: np.ndarray | None = None,
    *,
    clusters: int | None = None,
    restarts: int = 20,
) -> Result:
    """`clusters` None: as many as there are classes among the test images."""
    if test_clusters is not None:
        raise Skip("the model sorts images into clusters of its own")
    found = KMeans(
        n_clusters=clusters or len(np.unique(test_labels)),
        init="k-means++",
        n_init=restarts,
        max_iter=300,
        tol=1e-4,
        algorithm="lloyd",
        random_state=int(rng.integers(2**31)),
    )
    with threadpool_limits(1):  # threads would add up in any order
        nearness = -found.fit_transform(test_codes.astype(np.float64))
        train = None if train_codes is None else -found.transform(train_codes.astype(np.float64))
    result = clustering(nearness, test_labels, train, train_labels)
    return {key.replace("cluster_", "kmeans_"): value for key, value in result.items()}


@Better(higher=("cluster_cnn_acc",))
def cluster_cnn(
    test_clusters: np.ndarray,
    test_labels: np.ndarray,
    train_clusters: np.ndarray,
    small_classifier: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    rng: np.random.Generator,
    *,
    sure: float = 0.9,
) -> Result:
    """The network learns from images whose most probable cluster has a probability above `sure`."""
    kept = np.flatnonzero(train_clusters.max(axis=1) > sure)
    if not kept.size:
        raise Skip(f"no training image is in a cluster with a probability above {sure}")
    logits = small_classifier(kept, train_clusters[kept].argmax(axis=1), int(rng.integers(2**31)))
    shape = (test_clusters.shape[1], int(test_labels.max()) + 1)
    names = one_to_one(contingency(test_clusters.argmax(axis=1), test_labels, *shape))
    table = contingency(logits.argmax(axis=1), test_labels, *shape)
    return {
        "cluster_cnn_acc": accuracy(table, names),
        "cluster_cnn_kept": len(kept) / len(train_clusters),
        "contingency": table,
    }


def contingency(clusters: np.ndarray, labels: np.ndarray, count: int, classes: int) -> np.ndarray:
    """How many images are in each cluster and class, (count, classes)."""
    return np.bincount(clusters * classes + labels, minlength=count * classes).reshape(count, classes)


def one_to_one(table: np.ndarray) -> np.ndarray:
    """The map with the most hits, (K, classes) of 0 and 1; the smaller side of the table is mapped completely."""
    names = np.zeros_like(table)
    names[linear_sum_assignment(table, maximize=True)] = 1
    return names * table.any(axis=1, keepdims=True)


def many_to_one(table: np.ndarray) -> np.ndarray:
    """Each cluster that occurs to its most frequent class, of equals the first: (K, classes) of 0 and 1."""
    return np.eye(table.shape[1], dtype=table.dtype)[table.argmax(axis=1)] * table.any(axis=1, keepdims=True)


def accuracy(table: np.ndarray, names: np.ndarray) -> float:
    return float((table * names).sum() / table.sum())
