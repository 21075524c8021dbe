"""How well clusters that were found without labels agree with the classes.

An image belongs to its most probable cluster. T[c, y] counts the n test images of cluster c and class y:

    cluster_acc_hungarian   max over one-to-one maps m of  Σ_c T[c, m(c)] / n     (Kuhn 1955)
    cluster_acc_majority    Σ_c max_y T[c, y] / n, many clusters may share a class
    cluster_acc_exemplar    a cluster takes the class of its most probable image (Makhzani et al., "Adversarial
                            autoencoders", 2016)
    cluster_nmi             mutual information divided by the arithmetic mean of both entropies
    cluster_ari             pairs of images that both partitions treat alike, corrected for chance (Hubert & Arabie
                            1985)

The accuracies and `cluster_nmi` are in [0, 1]; 1 is best everywhere. `cluster_acc_hungarian` compares models with as
many clusters as classes. `cluster_acc_majority` never falls when a cluster is split, so read it beside `cluster_count`.
Random clusters do not get 1 / classes: with ten balanced classes and 10,000 images, ten random clusters get 0.113
(hungarian) and 0.115 (majority), thirty get 0.046 and 0.127.

These scores name the clusters by the labels on which they are scored, as is usual. The stricter scores `_train_map`
name them by training images; a cluster without a training image has no name and is always wrong.
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
    """Compare the probabilities of the clusters (M, K) with the classes (M,) of the same images.

    Of equally probable clusters the first counts, and of equally probable exemplars the first image.
    """
    labels = test_labels if train_labels is None else np.concatenate([test_labels, train_labels])
    classes = int(labels.max()) + 1
    clusters = test_clusters.argmax(axis=1)
    table = contingency(clusters, test_labels, test_clusters.shape[1], classes)
    exemplars = test_labels[test_clusters.argmax(axis=0)]  # (K,)
    result: Result = {
        "cluster_acc_hungarian": accuracy(table, one_to_one(table)),
        "cluster_acc_majority": accuracy(table, many_to_one(table)),
        "cluster_acc_exemplar": float((exemplars[clusters] == test_labels).mean()),
        "cluster_nmi": float(normalized_mutual_info_score(test_labels, clusters, average_method="arithmetic")),
        "cluster_ari": float(adjusted_rand_score(test_labels, clusters)),
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
    """Score the clusters of k-means in the codes (M, D) of the test images, the best of `restarts` runs.

    This is for models without clusters of their own. `clusters` None takes as many clusters as there are classes among
    the test images. Codes are used as they are, so a code on a larger scale counts for more. The probability of a
    cluster is replaced by the nearness to its centre, so its exemplar is the nearest image.
    """
    if test_clusters is not None:
        raise Skip("the model sorts images into clusters of its own")
    model = KMeans(
        n_clusters=clusters or len(np.unique(test_labels)),
        init="k-means++",
        n_init=restarts,
        max_iter=300,
        tol=1e-4,
        algorithm="lloyd",
        random_state=int(rng.integers(2**31)),
    )
    with threadpool_limits(1):  # Several threads would add numbers in an order that changes from run to run.
        nearness = -model.fit_transform(test_codes.astype(np.float64))
        train = None if train_codes is None else -model.transform(train_codes.astype(np.float64))
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
    """Score a small convolutional network that learned the clusters ("Proposed CNN" of Ye & Bors, "InfoVAEGAN").

    The score shows whether the images support the clusters. The network learns from the training images whose most
    probable cluster has a probability above `sure`; `cluster_cnn_kept` is their share. Its clusters of test images are
    mapped to classes by the one-to-one map of the model's own clusters.
    """
    sure_images = np.flatnonzero(train_clusters.max(axis=1) > sure)
    if not sure_images.size:
        raise Skip(f"no training image is in a cluster with a probability above {sure}")
    logits = small_classifier(sure_images, train_clusters[sure_images].argmax(axis=1), int(rng.integers(2**31)))
    shape = (test_clusters.shape[1], int(test_labels.max()) + 1)
    names = one_to_one(contingency(test_clusters.argmax(axis=1), test_labels, *shape))
    table = contingency(logits.argmax(axis=1), test_labels, *shape)
    return {
        "cluster_cnn_acc": accuracy(table, names),
        "cluster_cnn_kept": len(sure_images) / len(train_clusters),
        "contingency": table,
    }


def contingency(clusters: np.ndarray, labels: np.ndarray, count: int, classes: int) -> np.ndarray:
    """Count the images of each cluster and class, (count, classes); unlike scikit-learn, also of empty clusters."""
    return np.bincount(clusters * classes + labels, minlength=count * classes).reshape(count, classes)


def one_to_one(table: np.ndarray) -> np.ndarray:
    """Return the one-to-one map with the most hits for counts (K, classes), as 0 and 1 in the same shape.

    With more clusters than classes some clusters stay without a class, and empty clusters have none either.
    """
    names = np.zeros_like(table)
    names[linear_sum_assignment(table, maximize=True)] = 1
    return names * table.any(axis=1, keepdims=True)


def many_to_one(table: np.ndarray) -> np.ndarray:
    """Map each cluster to its most frequent class, of equals the first; (K, classes) of 0 and 1.

    Empty clusters have no class.
    """
    return np.eye(table.shape[1], dtype=table.dtype)[table.argmax(axis=1)] * table.any(axis=1, keepdims=True)


def accuracy(table: np.ndarray, names: np.ndarray) -> float:
    """Return the share of images whose cluster is mapped to their class."""
    return float((table * names).sum() / table.sum())
