"""Attribute vectors and top attributes on codes whose answer is known, and the hinge bias against a search."""

import json

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy.optimize import minimize_scalar

from tests.support.configuration import build_model, compose_train
from tests.support.datasets import data_module
from vaezoo.data.images import ImageArrays
from vaezoo.evaluation.evaluate_model import evaluate_model
from vaezoo.metrics.attributes import (
    attribute_vectors,
    balanced_accuracies,
    binary_columns,
    hinge_biases,
    mean_differences,
    top_attributes,
)
from vaezoo.metrics.protocol import Skip

NAMES = ("Bald", "Bangs", "shape", "Rosy_Cheeks")


def table(n: int = 2000, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes (n, 3) of factors (n, 4): z0 follows Bangs upwards, z1 follows Bald downwards, z2 follows nothing."""
    rng = np.random.default_rng(1)
    factors = np.stack([rng.random(n) < 0.4, rng.random(n) < 0.2, rng.integers(3, size=n), rng.random(n) < 0.1], axis=1)
    signal = np.stack([6.0 * factors[:, 1], -8.0 * factors[:, 0], 0 * factors[:, 0]], axis=1)
    return (signal + noise * rng.standard_normal((n, 3))).astype(np.float32), factors, np.arange(n) % 10 == 0


def scored(codes, factors, held_out):
    return attribute_vectors(codes, factors, held_out, NAMES)


def hinge(scores, yes, b):
    return np.maximum(0, 1 - np.where(yes, 1, -1) * (scores + b)).sum()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("scale", [0.01, 1, 30])
def test_no_bias_has_a_smaller_hinge_loss(share, scale):
    rng = np.random.default_rng(int(100 * share))
    yes = rng.random((300, 4)) < share
    scores = scale * (rng.standard_normal((300, 4)) + yes)
    for s, y, b in zip(scores.T, yes.T, hinge_biases(scores, yes), strict=True):
        best = minimize_scalar(lambda b, s=s, y=y: hinge(s, y, b), bracket=(-3 * scale, 3 * scale), tol=1e-10)
        assert hinge(s, y, b) <= best.fun + 1e-9
        step = 1e-6 + np.abs(np.sort(np.where(y, 1, -1) - s)[[y.sum() - 1, y.sum()]] - b).max()
        assert min(hinge(s, y, b - step), hinge(s, y, b + step)) >= hinge(s, y, b), "the flat bottom ends there"


def test_the_bias_is_the_middle_of_the_flat_bottom():
    # No loss for b in [-3 + 1, 5 - 1 - ...]: yes needs s + b >= 1, no needs s + b <= -1.
    scores, yes = np.array([[4.0], [-6.0]]), np.array([[True], [False]])
    assert hinge_biases(scores, yes) == [(-3 + 5) / 2]


def test_small_codes_get_the_majority():
    rng = np.random.default_rng(0)
    yes = rng.random((1000, 1)) < 0.1
    scores = 0.01 * rng.standard_normal((1000, 1)) + 0.02 * yes
    assert not (scores + hinge_biases(scores, yes) >= 0).any()


def test_vectors_are_differences_of_means():
    codes, factors, _ = table()
    vectors = mean_differences(codes, factors[:, [0, 1, 3]] == 1)
    by_hand = [codes[factors[:, k] == 1].mean(0) - codes[factors[:, k] == 0].mean(0) for k in (0, 1, 3)]
    np.testing.assert_allclose(vectors, by_hand, atol=1e-5)


def test_what_the_codes_know_is_told_and_what_not_is_the_majority():
    result = scored(*table())
    assert list(result["names"]) == ["Bald", "Bangs", "Rosy_Cheeks"], "a factor of three levels is no attribute"
    np.testing.assert_allclose(result["accuracy"][:2], 1)
    np.testing.assert_allclose(result["balanced"], [1, 1, 0.5])
    assert result["accuracy"][2] == result["majority"][2] > 0.85
    assert result["attributes_accuracy"] == pytest.approx(result["accuracy"].mean())
    assert result["vectors"].shape == (3, 3)
    assert all(np.array_equal(result[key], scored(*table())[key]) for key in ("biases", "vectors"))


def test_the_answer_does_not_depend_on_held_out_rows_or_on_a_shift():
    codes, factors, held_out = table(noise=2)
    result = scored(codes, factors, held_out)
    moved = scored(codes + np.array([3, -2, 1], np.float32), factors, held_out)
    np.testing.assert_allclose(moved["accuracy"], result["accuracy"], atol=0.006)
    other = factors.copy()
    other[held_out] = 1 - other[held_out] % 2
    np.testing.assert_array_equal(scored(codes, other, held_out)["biases"], result["biases"])


def test_balanced_accuracy_by_hand():
    true = np.array([[1, 1], [1, 1], [0, 1], [0, 1]], bool)
    right = np.array([[1, 1], [0, 1], [1, 1], [1, 0]], bool)
    np.testing.assert_allclose(balanced_accuracies(right, true), [0.75, 0.75])


def test_without_attributes_both_are_skipped():
    codes, factors, held_out = table()
    with pytest.raises(Skip, match="no binary attributes"):
        scored(codes, factors[:, [2, 2]], held_out)
    with pytest.raises(Skip, match="no binary attributes"):
        binary_columns(np.ones((5, 2), int))
    with pytest.raises(Skip, match="no attribute Smiling"):
        top_attributes(codes, factors, NAMES, attributes=["Smiling"])


def test_the_best_code_and_what_else_goes_with_it():
    codes, factors, _ = table(noise=0.5)
    factors[:, 3] = np.where(np.arange(len(factors)) % 3, factors[:, 1], factors[:, 3])
    result = top_attributes(codes, factors, NAMES, others=1)
    assert list(result["latents"]) == [0, 0]
    assert result["columns"].tolist() == [[1, 3], [3, 1]], "columns of the factors, the attribute itself first"
    expected = [[np.corrcoef(factors[:, k], codes[:, 0])[0, 1] for k in row] for row in result["columns"]]
    np.testing.assert_allclose(result["correlations"], expected, atol=1e-9)
    everything = top_attributes(codes, factors, NAMES, attributes=None, others=9)
    assert everything["columns"].shape == (3, 3)
    assert list(everything["latents"]) == [1, 0, 0]
    assert everything["correlations"][0, 0] < -0.9, "with its sign"


def test_constant_codes_go_with_nothing():
    _, factors, _ = table()
    result = top_attributes(np.zeros((len(factors), 3)), factors, NAMES)
    assert not result["correlations"].any()


@pytest.mark.parametrize("names", [NAMES, ("a", "b", "c", "d")])
def test_a_run_on_attributes_has_scores_and_a_figure(names, tmp_path):
    """With Bangs and Rosy_Cheeks among them; other attributes only when asked for."""
    _, factors, _ = table(200)
    pixels = (255 * (factors[:, [1, 0, 3, 2]] > 0)).repeat(64, axis=1).reshape(200, 1, 16, 16).astype(np.uint8)
    source = ImageArrays(
        "faces", pixels, (1, 16, 16), {}, factors=factors, factor_names=names, factor_sizes=(2, 2, 3, 2)
    )
    parts = ("dataset.shape=[1,16,16]", "network=mlpk", "latent.dim=4", "figure=default", "logger=csv")
    model, composed = build_model("model=vae", *parts), compose_train("metric=fast", *parts)
    metric = OmegaConf.create({"rows": None, "test_rows": None, "seeds": 1, "scores": {}})
    metric.scores = {name: composed.metric.scores[name] for name in ("attribute_vectors", "top_attributes")}
    data = data_module(lambda: source)
    _, pictures = evaluate_model(model, data, tmp_path, title="t", metric=metric, figure=composed.figure, seed=0)
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert told["scores"]["eval/attributes_accuracy"] >= told["scores"]["eval/attributes_majority"] > 0.5
    rows, arrays = told["tables"]["attribute_vectors"], np.load(tmp_path / "metrics.npz")
    assert list(rows) == [names[0], names[1], names[3]]
    for column in ("accuracy", "majority", "balanced"):
        np.testing.assert_allclose([row[column] for row in rows.values()], arrays[f"attribute_vectors/{column}"])
        assert told["scores"][f"eval/attributes_{column}"] == pytest.approx(
            np.mean(arrays[f"attribute_vectors/{column}"])
        )
    assert "attributes" in pictures
    assert ("top_attributes" in pictures) == ("Bangs" in names)
    assert ("top_attributes" in told["skipped"]) == ("Bangs" not in names)
    if "Bangs" in names:
        numbers = np.load(tmp_path / "figures" / "top_attributes.npz")
        assert numbers["top_columns"][:, 0].tolist() == [1, 3]
