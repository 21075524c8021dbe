"""DCI, modularity, explicitness, IRS, UDR: known answers, closed forms, slow references, golden values."""

import ast
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.support.codes import FACTORS, LINEAR, SMOOTH, Between, about, close, noise, product, rotation, run, thinned
from vaezoo import metrics
from vaezoo.metrics import dci_gbt, dci_gbt_2k, dci_hgb, dci_lasso, explicitness, irs, modularity, udr
from vaezoo.metrics.agreement import lasso_weights, pair_score
from vaezoo.metrics.dci import score_importances, specialisation
from vaezoo.metrics.predictors import draw_split, lasso, standardise
from vaezoo.metrics.protocol import Skip
from vaezoo.metrics.ridgeway_mozer import areas_under_curve

K = LINEAR.shape[1]

# Fewer rows and rounds than published where that says the same.
METRICS: dict[str, Any] = {
    "dci_gbt": partial(dci_gbt, train=600, test=300, rounds=10),
    "dci_hgb": partial(dci_hgb, train=1000, test=500, rounds=20),
    "dci_lasso": dci_lasso,
    "modularity": modularity,
    "explicitness": partial(explicitness, train=2000, test=1000),
    "irs": irs,
}
WHOLE = {"modularity": partial(modularity, rows=None), "irs": partial(irs, rows=None)}


def score(name: str, codes: np.ndarray, **kwargs: Any) -> float:
    return run(METRICS[name], codes, **kwargs)["score"]


# Known answers: the sanity table

PERFECT = {
    "dci_gbt": about(1, 1e-3),
    "dci_hgb": about(1, 1e-3),
    "dci_lasso": about(1, 1e-3),
    "modularity": about(1, 1e-4),  # the bias of the other informations
    "explicitness": about(1, 1e-3),
    "irs": about(1, 1e-9),
}
SANITY: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "one linear code a factor": (LINEAR, PERFECT),
    "permuted, rescaled, shifted, flipped": (LINEAR[:, [2, 0, 3, 1]] * (3, -0.5, 1.5, -1) + (0.3, 2, -5, 0), PERFECT),
    "each code twice": (np.hstack([LINEAR, LINEAR]), PERFECT),
    "randomly rotated": (
        LINEAR @ rotation(K),
        {
            "dci_gbt": Between(0.1, 0.4),
            "dci_hgb": Between(0.1, 0.4),
            "dci_lasso": Between(0.05, 0.4),
            "modularity": Between(0.6, 0.85),
            "explicitness": Between(0.95, 1.001),  # a linear map is no obstacle
            "irs": Between(0.3, 0.6),
        },
    ),
    "independent noise": (
        noise(K),
        {
            "dci_gbt": Between(-1e-9, 0.03),
            "dci_hgb": Between(-1e-9, 0.03),
            "modularity": Between(0.6, 0.85),  # as high as for rotated codes
            "explicitness": about(0.5, 0.06),
            "irs": Between(0.1, 0.4),
        },
    ),
    "all constant": (
        np.full((len(FACTORS), K), 0.1),
        {
            **dict.fromkeys(("dci_gbt", "dci_hgb", "dci_lasso"), about(0, 1e-9)),
            "modularity": 0.0,
            "explicitness": 0.5,
            "irs": 0.0,
        },
    ),
    "four dead codes besides": (
        np.hstack([LINEAR, 0.01 * noise(4)]),
        {
            "dci_gbt": about(1, 0.02),
            "dci_hgb": about(1, 0.02),
            "dci_lasso": about(1, 1e-3),
            "modularity": Between(0.6, 0.97),
            "explicitness": about(1, 1e-3),
            "irs": about(1, 0.03),  # they weigh little
        },
    ),
    "one factor missing": (
        LINEAR[:, :-1],
        {
            "dci_lasso": about(1, 0.1),
            "modularity": about(1, 1e-4),
            "explicitness": Between(0.8, 0.92),
            "irs": close(1),
        },
    ),
}


@pytest.mark.parametrize(
    ("codes", "name", "expected"),
    [
        pytest.param(codes, name, expected, id=f"{case}-{name}")
        for case, (codes, answers) in SANITY.items()
        for name, expected in answers.items()
    ],
)
def test_known_answers(codes: np.ndarray, name: str, expected: Any) -> None:
    assert score(name, codes) == expected


@pytest.mark.parametrize("name", ["dci_gbt", "dci_hgb", "dci_lasso"])
def test_completeness_and_informativeness(name: str) -> None:
    perfect = run(METRICS[name], LINEAR)
    assert perfect["completeness"] == about(1, 1e-3)
    assert perfect["completeness_unweighted"] == about(1, 1e-3)
    assert perfect["disentanglement"] == perfect["score"]
    blind = run(METRICS[name], noise(K))
    if name == "dci_lasso":  # an error; shrinking by alpha is all of it
        assert perfect["informativeness"] == about(0.02, 1e-3)
        assert blind["informativeness"] == about(1, 0.03)
    else:
        assert perfect["informativeness"] == 1.0
        # A level in S is right by chance; a table learned by heart would get nearly 1.
        assert blind["informativeness"] == about(np.mean([1 / s for s in (3, 4, 5, 8)]), 0.08)
        assert blind["informativeness_train"] > blind["informativeness"] + 0.1
        np.testing.assert_allclose(perfect["importance"].sum(axis=0), 1)


COMPLETENESS: dict[str, dict[str, Any]] = {
    "one linear code a factor": dict.fromkeys(("dci_gbt", "dci_hgb", "dci_lasso"), about(1, 1e-3)),
    "permuted, rescaled, shifted, flipped": dict.fromkeys(("dci_gbt", "dci_hgb", "dci_lasso"), about(1, 1e-3)),
    "each code twice": {"dci_gbt": Between(0.4, 0.95)},  # the others may take the first of two equal codes alone
    "randomly rotated": dict.fromkeys(("dci_gbt", "dci_hgb", "dci_lasso"), Between(0.05, 0.4)),
    "independent noise": dict.fromkeys(("dci_gbt", "dci_hgb"), Between(-1e-9, 0.05)),
    "all constant": dict.fromkeys(("dci_gbt", "dci_hgb", "dci_lasso"), about(0, 1e-9)),
    "four dead codes besides": dict.fromkeys(("dci_gbt", "dci_hgb", "dci_lasso"), about(1, 0.03)),
}


@pytest.mark.parametrize(
    ("case", "name", "expected"),
    [
        pytest.param(case, name, expected, id=f"{case}-{name}")
        for case, answers in COMPLETENESS.items()
        for name, expected in answers.items()
    ],
)
def test_known_completeness(case: str, name: str, expected: Any) -> None:
    assert run(METRICS[name], SANITY[case][0])["completeness"] == expected


def test_the_small_form_is_the_large_one_on_fewer_rows() -> None:
    small = run(partial(dci_gbt_2k, rounds=5), SMOOTH)
    large = run(partial(dci_gbt, rounds=5, train=2000, test=1000), SMOOTH)
    np.testing.assert_array_equal(small["importance"], large["importance"])


def test_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = run(METRICS["dci_hgb"], SMOOTH)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    shared = run(METRICS["dci_hgb"], SMOOTH)
    for key, value in alone.items():
        np.testing.assert_array_equal(value, shared[key])


# Invariants


@pytest.mark.parametrize("name", METRICS)
def test_the_order_of_codes_does_not_matter(name: str) -> None:
    within = 0.02 if name == "dci_hgb" else 1e-3
    assert score(name, SMOOTH[:, [3, 1, 0, 2]]) == about(score(name, SMOOTH), within)


@pytest.mark.parametrize("name", WHOLE)
def test_the_order_of_rows_does_not_matter(name: str) -> None:
    rows = np.random.default_rng(3).permutation(len(FACTORS))
    shuffled = run(WHOLE[name], SMOOTH[rows], factors=FACTORS[rows])["score"]
    assert shuffled == about(run(WHOLE[name], SMOOTH)["score"], 1e-9)


@pytest.mark.parametrize("name", ["dci_gbt", "dci_lasso", "modularity", "explicitness"])
def test_affine_maps_of_single_codes_change_nothing(name: str) -> None:
    mapped = SMOOTH * (-8, 0.25, 2, 1) + (1, 0, -2, 5)
    within = 0.01 if name == "dci_gbt" else 1e-4  # of equally good splits another may be taken
    assert score(name, mapped, dtype=np.float64) == about(score(name, SMOOTH, dtype=np.float64), within)


def test_the_scale_of_codes_weighs_them_in_irs() -> None:
    base, mapped = run(WHOLE["irs"], SMOOTH), run(WHOLE["irs"], SMOOTH * (100, -1, 1, 1) + 3)
    np.testing.assert_allclose(mapped["matrix"], base["matrix"], atol=1e-5)
    assert mapped["score"] == about(base["matrix"][0].max(), 0.02)
    assert run(WHOLE["irs"], 7 * SMOOTH - 2)["score"] == about(base["score"], 1e-5)


def test_names_of_levels_matter_only_where_levels_are_numbers() -> None:
    factors = FACTORS.copy()
    for column in factors.T:
        column[:] = 3 + 2 * np.random.default_rng(column.max()).permutation(column.max() + 1)[column]
    for name in ("dci_gbt", "dci_hgb", "modularity", "explicitness", "irs"):
        assert score(name, SMOOTH, factors=factors) == about(score(name, SMOOTH), 2e-3)
    assert abs(score("dci_lasso", SMOOTH, factors=factors) - score("dci_lasso", SMOOTH)) > 0.01


def test_names_of_levels_matter_to_irs_where_its_bins_merge_them() -> None:
    factors = product((3, 30, 4))
    codes = (factors - factors.mean(axis=0)) @ (np.eye(3) + 0.3 * rotation(3)) + 0.1 * noise(3, len(factors))
    renamed = factors.copy()
    renamed[:, 1] = np.random.default_rng(0).permutation(30)[factors[:, 1]]
    one, other = (run(WHOLE["irs"], codes, factors=table) for table in (factors, renamed))
    assert other["true_levels"] == about(one["true_levels"], 1e-9)
    assert abs(other["score"] - one["score"]) > 0.01


@pytest.mark.parametrize("name", METRICS)
def test_single_and_double_precision_agree(name: str) -> None:
    single, double = score(name, SMOOTH), score(name, SMOOTH.astype(np.float32).astype(np.float64), dtype=np.float64)
    assert single == about(double, 2e-3 if name == "modularity" else 1e-4)


@pytest.mark.parametrize("name", METRICS)
def test_the_seed_decides_everything_and_the_global_state_is_left_alone(name: str) -> None:
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (run(METRICS[name], SMOOTH, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    for key, value in first.items():
        np.testing.assert_array_equal(value, again[key])
    assert any(not np.array_equal(value, other[key]) for key, value in first.items())


@pytest.mark.parametrize("name", METRICS)
def test_incomplete_and_repeated_grids(name: str) -> None:
    """Codes that are the factors are found in whatever rows there are, a factor with one level is left out."""
    for factors in (thinned(), np.repeat(FACTORS, 3, axis=0), np.hstack([FACTORS, np.full((len(FACTORS), 1), 2)])):
        codes = (factors[:, :K] - FACTORS.mean(axis=0)) / FACTORS.std(axis=0)
        result = run(METRICS[name], codes, factors=factors)
        assert result["score"] == about(1, 0.05)
        if name == "irs":
            assert result["interventional"] == (len(factors) % len(FACTORS) == 0)


@pytest.mark.parametrize("name", ["dci_gbt", "dci_hgb", "dci_lasso"])
def test_dci_needs_two_codes_and_two_factors(name: str) -> None:
    for codes, factors in ((SMOOTH[:, :1], FACTORS), (SMOOTH, FACTORS[:, :1])):
        with pytest.raises(Skip, match="two or more of both"):
            score(name, codes, factors=factors)


def test_what_else_does_not_apply() -> None:
    with pytest.raises(Skip, match="two factors"):
        score("modularity", SMOOTH, factors=FACTORS[:, :1])
    for name in METRICS:
        with pytest.raises(Skip, match="no factor varies"):
            score(name, SMOOTH, factors=np.zeros_like(FACTORS))
    for name in ("explicitness", "modularity", "irs"):
        assert np.isfinite(score(name, SMOOTH[:, :1]))
    rare = np.zeros((len(FACTORS), 2), dtype=int)
    rare[0] = 1
    with pytest.raises(Skip, match="same level in all drawn rows"):
        run(dci_lasso, SMOOTH, factors=rare)
    rare[:, :] = np.arange(len(FACTORS))[:, None] % 2
    rare[0] = 2
    with pytest.raises(Skip, match="does not occur among the drawn rows"):
        run(explicitness, SMOOTH, factors=rare)


def test_rows_to_learn_from_and_to_be_judged_by_are_different_ones() -> None:
    codes = np.arange(60.0)[:, None]
    x, y, x_test, y_test = draw_split(codes, np.arange(60)[:, None] % 3, np.random.default_rng(0), 4000, 2000)
    assert (len(x), len(x_test)) == (4000, 2000)
    assert not set(x.ravel()) & set(x_test.ravel())
    assert len(set(x.ravel())) == 40
    assert (np.vstack([x, x_test]).astype(int) % 3 == np.vstack([y, y_test])).all()


# Closed forms and slow references


def test_dci_of_a_matrix_by_a_plain_loop() -> None:
    table = np.array([[0.7, 0.1, 0.0], [0.0, 0.0, 0.0], [0.2, 0.2, 0.2], [0.0, 0.9, 0.3]])

    def loop(rows: np.ndarray) -> tuple[float, list[float]]:
        each = []
        for row in rows:
            p = (row + 1e-11) / (row + 1e-11).sum()
            each.append(1 + sum(float(q * np.log(q) / np.log(len(row))) for q in p))
        return sum(e * row.sum() for e, row in zip(each, rows, strict=True)) / rows.sum(), each

    result = score_importances(table)
    assert result["disentanglement"] == about(loop(table)[0], 1e-12)
    assert result["completeness"] == about(loop(table.T)[0], 1e-12)
    assert result["completeness_unweighted"] == about(np.mean(loop(table.T)[1]), 1e-12)
    assert result["by_code"][1] == about(0, 1e-12)
    np.testing.assert_allclose(specialisation(np.eye(5)), 1, atol=1e-8)
    np.testing.assert_allclose(specialisation(np.ones((2, 7))), 0, atol=1e-12)
    halves = np.array([[1.0, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(specialisation(halves), 0.5, atol=1e-8)


def test_the_lasso_of_uncorrelated_codes_shrinks_by_alpha() -> None:
    x, _ = standardise(LINEAR, LINEAR)
    true = np.array([[0.5, 0.01], [-0.3, 0.0], [0.1, 1.0], [0.0, -0.2]])
    expected = np.sign(true) * np.maximum(np.abs(true) - 0.05, 0)
    np.testing.assert_allclose(lasso(x, x @ true, 0.05), expected, atol=1e-6)
    assert lasso(x, x @ true[:, :1], 0.05).shape == (K, 1)


def test_standardising_leaves_constant_columns_at_zero() -> None:
    table = np.hstack([SMOOTH, np.full((len(SMOOTH), 1), 0.1)]).astype(np.float32)
    train, test = standardise(table, table[:7] + 1)
    np.testing.assert_allclose(train[:, :K].std(axis=0), 1)
    assert not train[:, K].any()
    assert np.isfinite(test).all()


def test_area_under_the_curve() -> None:
    p = np.round(np.abs(noise(3, 200)), 1)  # with ties
    level = np.arange(200) % 3
    expected = [roc_auc_score(level == u, p[:, u]) for u in range(3)]
    np.testing.assert_allclose(areas_under_curve(p, level), expected)


def test_modularity_by_a_plain_loop() -> None:
    result = run(WHOLE["modularity"], SMOOTH)
    each = []
    for d in range(K):
        edges = np.histogram(SMOOTH.astype(np.float32)[:, d].astype(float), 20)[1]
        cell = np.digitize(SMOOTH.astype(np.float32)[:, d].astype(float), edges[:-1])
        informations = []
        for k in range(K):
            total = 0.0
            for a in np.unique(cell):
                for u in np.unique(FACTORS[:, k]):
                    p = np.mean((cell == a) & (FACTORS[:, k] == u))
                    if p > 0:
                        total += p * np.log(p / np.mean(cell == a) / np.mean(FACTORS[:, k] == u))
            informations.append(total)
        best = max(informations)
        each.append(1 - (sum(i**2 for i in informations) - best**2) / ((K - 1) * best**2))
    np.testing.assert_allclose(result["by_code"], each, atol=1e-9)
    assert result["score"] == about(np.mean(each), 1e-9)


def test_irs_by_a_plain_loop() -> None:
    factors = product((3, 30, 4))
    codes = np.hstack([factors @ noise(3, 3) + 0.3 * noise(3, 360), np.full((360, 1), 0.1)])
    for bins, quantile, key in ((20, 0.99, "score"), (None, 0.99, "score"), (20, 1.0, "largest")):
        total = weight = 0.0
        for z in codes[:, :3].T:
            reach = max(abs(z - z.mean()))
            best = -np.inf
            for v in factors.T:
                cell = v if bins is None else np.digitize(v, np.histogram(v, bins)[1][:-1])
                spreads = [np.percentile(abs(z[cell == u] - z[cell == u].mean()), 100 * quantile) for u in set(cell)]
                best = max(best, 1 - np.mean(spreads) / reach)
            total, weight = total + reach * best, weight + reach
        result = irs(codes, factors, np.random.default_rng(0), rows=None, factor_bins=bins)
        assert result[key] == about(total / weight, 1e-9)
        assert result["kept_codes"] == 3
        assert result["best_factor"][3] == -1
    merged = irs(codes, factors, np.random.default_rng(0), rows=None)
    assert merged["true_levels"] == irs(codes, factors, np.random.default_rng(0), rows=None, factor_bins=None)["score"]
    assert merged["true_levels"] != merged["score"]


# UDR

LIVE = np.ones(K)


def test_udr_of_runs_that_found_the_same() -> None:
    runs = [LINEAR, LINEAR[:, [2, 0, 3, 1]] * (3, -0.5, 1.5, -1) + 1, -LINEAR]
    found = udr(runs, [LIVE] * 3, similarity="spearman")
    np.testing.assert_allclose(found["scores"], 1)
    # Uncorrelated standardised codes: each weight is 1 - alpha, and so is its square over their sum.
    np.testing.assert_allclose(udr(runs, [LIVE] * 3)["pairs"], 0.9, atol=1e-6)
    np.testing.assert_allclose(udr(runs, [LIVE] * 3, alpha=0.3)["scores"], 0.7, atol=1e-6)


def test_udr_by_a_plain_loop() -> None:
    from scipy.stats import spearmanr

    runs = [SMOOTH, SMOOTH @ rotation(K), np.exp(LINEAR) + 0.5 * noise(K)]
    kls = [LIVE, np.array([1, 0.02, 0.001, 1]), np.array([0, 1, 1, 1])]
    for pooling in ("mean", "paper"):
        pairs = np.zeros((3, 3))
        for i in range(3):
            for j in range(3):
                kept = [a for a in range(K) if kls[i][a] > 0.01], [b for b in range(K) if kls[j][b] > 0.01]
                r = {(a, b): abs(spearmanr(runs[i][:, a], runs[j][:, b])[0]) for a in kept[0] for b in kept[1]}
                rows = [max(r[a, b] for b in kept[1]) ** 2 / sum(r[a, b] for b in kept[1]) for a in kept[0]]
                columns = [max(r[a, b] for a in kept[0]) ** 2 / sum(r[a, b] for a in kept[0]) for b in kept[1]]
                halves = (np.mean(rows) + np.mean(columns)) / 2
                pairs[i, j] = halves if pooling == "mean" else np.mean(rows + columns)
        found = udr(runs, kls, similarity="spearman", pooling=pooling)
        np.testing.assert_allclose(found["pairs"], pairs, atol=1e-9)
        np.testing.assert_allclose(found["scores"][0], np.median(pairs[1:, 0]))
        assert found["kept"].tolist() == [4, 3, 3]


def test_udr_fits_the_lasso_of_scikit_learn() -> None:
    """The fits use moments alone, which 300 runs share; correlated codes and a constant one need many sweeps."""
    x = np.column_stack([SMOOTH @ rotation(K), LINEAR[:, 0] + 0.1 * noise(1)[:, 0], np.ones(len(SMOOTH))])
    y = np.column_stack([LINEAR, SMOOTH, noise(2)])
    x, y = standardise(x)[0], standardise(y)[0]
    weights = lasso_weights(x.T @ x / len(x), x.T @ y / len(x), 0.1)
    np.testing.assert_allclose(weights, lasso(x, y, 0.1), atol=1e-6)
    assert (weights[:-1] == 0).any()
    assert (np.abs(weights[:-1]) > 0.5).any()


def test_udr_of_runs_that_found_different_or_no_codes() -> None:
    apart = udr([LINEAR, LINEAR @ rotation(K), LINEAR @ rotation(K, 5)], [LIVE] * 3)
    assert (apart["scores"] < 0.7).all()
    dead = udr([LINEAR, LINEAR, LINEAR], [LIVE, LIVE, 0 * LIVE])
    np.testing.assert_allclose(dead["scores"][2], 0)
    assert dead["kept"].tolist() == [4, 4, 0]
    single = udr([LINEAR, LINEAR], [np.array([1, 0, 0, 0])] * 2, similarity="spearman")
    np.testing.assert_allclose(single["scores"], 1)  # one informative code: read it beside `kept`
    assert pair_score(np.zeros((2, 3))) == 0
    with pytest.raises(Skip, match="two runs"):
        udr([LINEAR], [LIVE])
    with pytest.raises(ValueError, match="'spearmn'"):
        udr([LINEAR, LINEAR], [LIVE, LIVE], similarity="spearmn")


# Options of solvers: their defaults may move with the library

NAMED = {
    "LogisticRegression": {"C", "solver", "tol", "max_iter"},  # naming its L2 penalty is deprecated
    "LinearSVC": {"C", "penalty", "loss", "dual", "tol", "max_iter", "intercept_scaling", "random_state"},
    "Lasso": {"alpha", "fit_intercept", "precompute", "max_iter", "tol", "selection", "random_state"},
    "KMeans": {"n_clusters", "init", "n_init", "max_iter", "tol", "algorithm", "random_state"},
    "GradientBoostingClassifier": {"loss", "learning_rate", "n_estimators", "max_depth", "subsample", "max_features"},
    "HistGradientBoostingClassifier": {"loss", "learning_rate", "max_iter", "max_depth", "max_bins", "early_stopping"},
}


def test_every_solver_is_told_what_to_do() -> None:
    found = set()
    for path in Path(metrics.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                made = node.args[0] if ast.unparse(node.func) == "partial" else node.func
                if (name := ast.unparse(made)) in NAMED:
                    found.add(name)
                    assert {word.arg for word in node.keywords} >= NAMED[name], f"{path.name}:{node.lineno}"
    assert found == NAMED.keys()


# Golden values: a table by formula, so that no generator has a say in it


def golden() -> tuple[np.ndarray, np.ndarray]:
    factors = product((3, 4, 12))
    v = factors / np.array([2, 3, 11]) - 0.5
    wave = np.sin(np.arange(144)[:, None] * np.array([1.0, 1.7, 2.3]))
    mixed = [v[:, 0] + 0.2 * v[:, 2], v[:, 1] ** 2 - 0.3 * v[:, 0], v[:, 2] + 0.1 * v[:, 1]]
    return np.stack(mixed, axis=1) + 0.05 * wave, factors


GOLDEN: dict[str, dict[str, float]] = {
    "modularity": {"score": 0.6794942027},
    "irs": {"score": 0.7502808588, "largest": 0.7476750691, "true_levels": 0.7502808588},
    "explicitness": {"score": 0.909, "train": 0.944},
    "dci_gbt": {"disentanglement": 0.491, "completeness": 0.536, "informativeness_train": 0.951},
    "dci_hgb": {"disentanglement": 0.520, "completeness": 0.559, "informativeness_train": 0.972},
    "dci_lasso": {"informativeness": 0.432},
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name: str) -> None:
    """Whole tables to 1e-6. Means of fits to 0.04: other rows may be drawn, and equal splits be taken otherwise."""
    codes, factors = golden()
    metric = WHOLE.get(name) or METRICS[name]
    results = [metric(codes, factors, np.random.default_rng(seed)) for seed in range(1 if name in WHOLE else 6)]
    for key, value in GOLDEN[name].items():
        assert np.mean([result[key] for result in results]) == about(value, 1e-6 if name in WHOLE else 0.04), key


def test_golden_values_of_the_lasso() -> None:
    codes, factors = golden()
    result = score_importances(np.abs(lasso(standardise(codes)[0], standardise(factors)[0], 0.02)))
    assert result["disentanglement"] == about(0.69652562, 1e-5)
    assert result["completeness"] == about(0.82148863, 1e-5)
    assert result["completeness_unweighted"] == about(0.88343210, 1e-5)
