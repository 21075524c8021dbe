"""Purity of nearest neighbours: every distance in a plain loop, ties, chance."""

from functools import partial

import numpy as np
import pytest

from vaezoo.metrics import neighbours
from vaezoo.metrics.neighbours import knn_purity
from vaezoo.metrics.protocol import Skip

close = partial(pytest.approx, abs=1e-12)


def purity(codes, labels, seed=0, **options):
    return knn_purity(np.asarray(codes), np.asarray(labels), np.random.default_rng(seed), **options)


@pytest.mark.parametrize("k", [1, 10])
def test_it_is_what_a_plain_loop_finds(k, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=60)
    codes = (rng.standard_normal((4, 3))[labels] + rng.standard_normal((60, 3))).astype(np.float32)
    shares = []
    for i in range(60):
        others = sorted((sum((codes[i].astype(float) - codes[j]) ** 2), j) for j in range(60) if j != i)
        shares.append(np.mean([labels[j] == labels[i] for _, j in others[:k]]))
    result = purity(codes, labels, k=k)
    assert result["score"] == close(np.mean(shares))
    assert result["chance"] == close(np.mean([labels[i] == labels[j] for i in range(60) for j in range(60) if i != j]))
    assert result["used"] == 60


def test_ties_share_the_places_that_are_left():
    # From 0: one row at distance 1 of the same class, and two at distance 2, one of them; k = 2.
    codes, labels = [[0.0], [1.0], [2.0], [-2.0]], [0, 0, 0, 1]
    # 0: (1 + 1/2) / 2. 1: both at distance 1. 2: both. -2: class 1 has no other.
    assert purity(codes, labels, k=2)["score"] == close((0.75 + 1 + 1 + 0) / 4)
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        assert purity(np.array(codes)[order], np.array(labels)[order], k=2)["score"] == close(2.75 / 4)


def test_constant_codes_have_neighbours_by_chance_and_separate_ones_their_own():
    labels = np.repeat([0, 1, 2], [30, 20, 50])
    constant = purity(np.ones((100, 2)), labels)
    assert constant["score"] == close(constant["chance"]) == close((30 * 29 + 20 * 19 + 50 * 49) / (100 * 99))
    rng = np.random.default_rng(0)
    assert purity(9.0 * labels[:, None] + rng.random((100, 1)), labels)["score"] == 1
    assert purity(rng.random((2000, 2)), np.arange(2000) % 10)["score"] == pytest.approx(0.1, abs=0.01)


def test_many_rows_are_thinned_class_by_class():
    labels = np.repeat([0, 1], [900, 100])
    result = purity(np.random.default_rng(0).random((1000, 2)), labels, most=200)
    assert result["used"] == 200
    assert result["chance"] == close((180 * 179 + 20 * 19) / (200 * 199))
    with pytest.raises(Skip, match="have no 10 neighbours"):
        purity(np.ones((10, 2)), np.arange(10))
