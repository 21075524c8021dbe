"""Agreement of clusters with classes: known answers, and every possible map tried."""

import itertools
from functools import partial

import numpy as np
import pytest

from vaezoo.evaluation.inputs import Inputs
from vaezoo.evaluation.scores import evaluate_metrics
from vaezoo.metrics.clusters import cluster_cnn, clustering, kmeans
from vaezoo.metrics.protocol import Skip

ACCURACIES = ("cluster_acc_hungarian", "cluster_acc_majority", "cluster_acc_exemplar")
close = partial(pytest.approx, abs=1e-12)


def images_of(table) -> tuple[np.ndarray, np.ndarray]:
    """Certain clusters and labels, in random order, that count up to the table."""
    table = np.asarray(table)
    order = np.random.default_rng(0).permutation(table.sum())
    cluster, label = (np.repeat(index.ravel(), table.ravel())[order] for index in np.indices(table.shape))
    return np.eye(len(table), dtype=np.float32)[cluster], label


def best_one_to_one(table: np.ndarray) -> set[tuple[tuple[int, int], ...]]:
    """All best one-to-one maps as pairs (cluster, class), by trying each of them."""
    k, classes = table.shape
    if k <= classes:
        maps = [tuple(zip(range(k), names, strict=True)) for names in itertools.permutations(range(classes), k)]
    else:
        maps = [tuple(zip(names, range(classes), strict=True)) for names in itertools.permutations(range(k), classes)]
    hits = [sum(table[pair] for pair in one) for one in maps]
    return {one for one, hit in zip(maps, hits, strict=True) if hit == max(hits)}


def test_the_two_accuracies_differ_in_kind():
    result = clustering(*images_of([[5, 1], [4, 0]]))
    assert result["cluster_acc_hungarian"] == 0.5
    assert result["cluster_acc_majority"] == 0.9


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_perfect_clusters_whatever_they_are_called(order):
    result = clustering(*images_of(np.diag([7, 5, 9, 4])[order]))
    assert [result[key] for key in (*ACCURACIES, "cluster_nmi", "cluster_ari")] == close([1] * 5)
    assert (result["cluster_count"], result["cluster_used"]) == (4, 4)


def test_one_cluster_for_everything_knows_nothing():
    result = clustering(*images_of([[0, 0, 0], [3, 9, 8], [0, 0, 0]]))
    assert result["cluster_acc_hungarian"] == result["cluster_acc_majority"] == 9 / 20
    assert (result["cluster_nmi"], result["cluster_ari"]) == (0, 0)
    assert (result["cluster_count"], result["cluster_used"]) == (3, 1)
    assert result["contingency"].tolist() == [[0, 0, 0], [3, 9, 8], [0, 0, 0]]


@pytest.mark.parametrize("shape", [(4, 4), (2, 5), (6, 3), (1, 3), (5, 1)])
def test_every_map_tried(shape):
    rng = np.random.default_rng(sum(shape))
    unique = 0
    for _ in range(25):
        test, train = rng.integers(0, 9, (2, *shape)) * (rng.random((2, shape[0], 1)) > 0.2)
        test[0, 0] += 1
        train[-1, -1] += 1
        result = clustering(*images_of(test), *images_of(train))
        assert result["contingency"].sum() == test.sum()
        best = max(sum(test[pair] for pair in one) for one in best_one_to_one(test))
        assert result["cluster_acc_hungarian"] == close(best / test.sum())
        majority = max(
            sum(row[name] for row, name in zip(test, names, strict=True))
            for names in itertools.product(range(shape[1]), repeat=shape[0])
        )
        assert result["cluster_acc_majority"] == close(majority / test.sum())
        # Names from training: any of the best maps, without the clusters that never occur there.
        seen = train.any(axis=1)
        allowed = {sum(int(test[pair]) for pair in one if seen[pair[0]]) for one in best_one_to_one(train)}
        unique += len(allowed) == 1
        assert round(result["cluster_acc_hungarian_train_map"] * test.sum()) in allowed
        hits = sum(row[names.argmax()] for row, names in zip(test, train, strict=True) if names.any())
        assert result["cluster_acc_majority_train_map"] == close(hits / test.sum())
    assert unique >= 10, "ties are the exception"


def test_a_cluster_that_training_never_saw_is_wrong():
    result = clustering(*images_of([[8, 0], [0, 2]]), *images_of([[3, 0], [0, 0]]))
    assert result["cluster_acc_hungarian"] == result["cluster_acc_majority"] == 1
    assert result["cluster_acc_hungarian_train_map"] == result["cluster_acc_majority_train_map"] == 0.8


def test_classes_that_only_one_of_the_parts_has():
    test, train = images_of([[4, 0, 0], [0, 6, 0]]), images_of([[0, 0, 5], [0, 3, 0]])
    result = clustering(*test, *train)
    assert result["cluster_acc_hungarian_train_map"] == result["cluster_acc_majority_train_map"] == 0.6
    assert clustering(*train, *test)["cluster_acc_majority_train_map"] == 3 / 8


def test_the_exemplar_names_its_cluster():
    clusters = np.array([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.05, 0.95], [0.3, 0.7]])
    assert clustering(clusters, np.array([0, 1, 1, 0, 0, 1]))["cluster_acc_exemplar"] == close(4 / 6)
    # The surest image of a cluster need not belong to it; and two clusters may have the same name.
    clusters = np.array([[0.5, 0.4, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    result = clustering(clusters, np.array([1, 0, 1]))
    assert result["cluster_used"] == 2
    assert result["cluster_acc_exemplar"] == close(2 / 3)


@pytest.mark.parametrize(("k", "hungarian", "majority"), [(10, 0.113, 0.115), (16, 0.076, 0.119), (30, 0.046, 0.127)])
def test_random_clusters_of_ten_balanced_classes(k, hungarian, majority):
    """The level of chance that the documentation of the metric states."""
    rng = np.random.default_rng(k)
    labels = np.arange(10_000) % 10
    found = [clustering(rng.random((10_000, k), dtype=np.float32), labels) for _ in range(8)]
    mean = {key: np.mean([result[key] for result in found]) for key in found[0]}
    assert mean["cluster_acc_hungarian"] == pytest.approx(hungarian, abs=0.0015)
    assert mean["cluster_acc_majority"] == pytest.approx(majority, abs=0.0015)
    assert abs(mean["cluster_ari"]) < 1e-3
    assert mean["cluster_nmi"] < 0.01


def test_order_and_numeric_type_do_not_matter():
    rng = np.random.default_rng(3)
    clusters, labels = rng.random((200, 7)).astype(np.float32), rng.integers(0, 4, 200)
    order = rng.permutation(200)
    first, second = clustering(clusters, labels), clustering(clusters[order].astype(float), labels[order].astype("u1"))
    for key, value in first.items():
        assert np.array_equal(value, second[key]) or value == close(second[key])


def test_keys_of_the_dashboard():
    clusters, labels = images_of([[5, 1], [4, 0]])
    inputs = Inputs(test_clusters=clusters, test_labels=labels)
    plain = evaluate_metrics({"clustering": clustering}, inputs, seed=0, repeats=3)
    names = ("acc_hungarian", "acc_majority", "acc_exemplar", "nmi", "ari", "count", "used")
    assert list(plain.values) == [f"eval/cluster_{name}" for name in names]
    assert plain.arrays["clustering"]["contingency"].tolist() == [[5, 1], [4, 0]]
    assert plain.protocols["clustering"]["rows"] == 10
    trained = inputs.replace(train_clusters=clusters, train_labels=labels)
    both = evaluate_metrics({"clustering": clustering}, trained, seed=0, repeats=3)
    for name in ("hungarian", "majority"):
        assert both.values[f"eval/cluster_acc_{name}_train_map"] == both.values[f"eval/cluster_acc_{name}"]
    without = evaluate_metrics({"clustering": clustering}, Inputs(test_labels=labels), seed=0, repeats=1)
    assert list(without.skipped) == ["clustering"]


# k-means


def apart(classes: int, rows: int, spread: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Codes around corners of a square grid of side 4 and the classes of those."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(rows) % classes)
    corners = 4.0 * np.stack(np.divmod(np.arange(classes), 3), axis=1)
    return (corners[labels] + spread * rng.standard_normal((rows, 2))).astype(np.float32), labels


def by_kmeans(*arrays, seed=0, **options):
    return kmeans(*arrays[:2], np.random.default_rng(seed), *arrays[2:], **options)


def test_classes_that_are_apart_are_found_by_kmeans():
    result = by_kmeans(*apart(7, 300), *apart(7, 100, seed=1))
    names = ("acc_hungarian", "acc_majority", "acc_exemplar", "nmi", "ari")
    assert [result[f"kmeans_{name}"] for name in names] == close([1] * 5)
    assert result["kmeans_acc_hungarian_train_map"] == result["kmeans_acc_majority_train_map"] == 1
    assert (result["kmeans_count"], result["kmeans_used"]) == (7, 7)


def test_the_least_sum_of_squares_is_found_among_all_partitions():
    codes, labels = np.random.default_rng(5).standard_normal((9, 2)), np.arange(9) % 2

    def squares(side: np.ndarray) -> float:
        return sum(((part - part.mean(axis=0)) ** 2).sum() for part in (codes[side], codes[~side]))

    sides = [np.array(side) for side in itertools.product([False, True], repeat=9) if 0 < sum(side) < 9]
    best = min(sides, key=squares)
    expected = clustering(np.stack([best, ~best], axis=1).astype(float), labels)
    result = by_kmeans(codes, labels)
    for name in ("acc_hungarian", "acc_majority", "nmi", "ari"):
        assert result[f"kmeans_{name}"] == close(expected[f"cluster_{name}"])


def test_the_number_of_clusters_is_a_choice_and_names_may_come_from_training():
    codes, labels = apart(6, 300)
    few = by_kmeans(codes, labels // 2, clusters=6)  # two corners a class
    assert (few["kmeans_count"], few["kmeans_acc_majority"]) == (6, 1)
    assert few["kmeans_acc_hungarian"] == close(0.5)
    other = by_kmeans(codes, labels, codes, (labels + 1) % 6)  # training calls them differently
    assert other["kmeans_acc_hungarian"] == 1
    assert other["kmeans_acc_hungarian_train_map"] == 0


def test_kmeans_of_noise_is_chance_and_its_seed_decides():
    rng = np.random.default_rng(0)
    codes, labels = rng.standard_normal((2000, 4)), np.arange(2000) % 10
    first, again = (by_kmeans(codes, labels, seed=3, restarts=2) for _ in range(2))
    assert all(np.array_equal(value, again[key]) for key, value in first.items())
    assert first["kmeans_acc_hungarian"] < 0.16
    assert first["kmeans_nmi"] < 0.02


def test_a_model_with_clusters_needs_no_others():
    codes, labels = apart(3, 30)
    with pytest.raises(Skip, match="of its own"):
        by_kmeans(codes, labels, None, None, np.eye(3)[labels])


# A network that learns the clusters


def test_the_network_learns_sure_clusters_and_keeps_their_names():
    train = np.array([[0.95, 0.05, 0], [0.9, 0.1, 0], [0.02, 0.03, 0.95], [0.4, 0.6, 0]])
    test, labels = images_of([[0, 4, 0], [0, 0, 3], [5, 0, 1]])  # best: 0 is class 1, 1 is class 2, 2 is class 0
    asked = []

    def network(positions, classes, seed):
        asked.append((positions.tolist(), classes.tolist(), seed))
        return np.where(labels[:, None] == 1, [[2.0, 1, 0]], [[0.0, -1, 1]])  # class 1 in cluster 0, the rest in 2

    result = cluster_cnn(test, labels, train, network, np.random.default_rng(0))
    # 4 of class 1 and 5 of class 0 are right; a map of the network's own would do no better with class 2.
    assert result["cluster_cnn_acc"] == close(9 / 13)
    assert result["cluster_cnn_kept"] == 0.5
    assert result["contingency"].tolist() == [[0, 4, 0], [0, 0, 0], [5, 0, 4]]
    assert asked[0][:2] == ([0, 2], [0, 2]), "a probability of 0.9 is not above it"
    renamed = cluster_cnn(test, labels, train, lambda *_: np.eye(3)[(labels + 1) % 3], np.random.default_rng(0))
    assert renamed["cluster_cnn_acc"] < 1, "names are those of the model's clusters, not the best for the network"
    with pytest.raises(Skip, match=r"above 0\.99"):
        cluster_cnn(test, labels, train, network, np.random.default_rng(0), sure=0.99)


def test_what_the_network_needs():
    inputs = Inputs(small_classifier=print, test_labels=np.arange(3))
    skipped = evaluate_metrics({"cluster_cnn": cluster_cnn}, inputs, seed=0, repeats=1).skipped
    assert skipped == {"cluster_cnn": "there is no test_clusters"}
