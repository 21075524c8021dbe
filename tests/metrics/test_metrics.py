"""Metrics on codes whose score is known beforehand, against slow reference implementations and closed forms."""

import inspect
from collections.abc import Callable
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf
from scipy import integrate, linalg, stats

from tests.support.codes import (
    FACTORS,
    LINEAR,
    SIZES,
    SMOOTH,
    Between,
    K,
    about,
    close,
    noise,
    product,
    rotation,
    run,
    thinned,
)
from tests.support.configuration import compose_train
from tests.support.paths import ROOT
from vaezoo.metrics.aggregate import entropies_by_binning, entropies_by_quadrature, entropies_by_sampling
from vaezoo.metrics.correlations import correlation, covariance, pearson
from vaezoo.metrics.entropies import discretise, factor_entropies, gap, mutual_information
from vaezoo.metrics.evidence import elbo, gaussian_kl
from vaezoo.metrics.gaussian_tc import gtc, gwc
from vaezoo.metrics.groups import Groups, draw_stratified, renumber_levels
from vaezoo.metrics.higgins import higgins_logistic, higgins_svm, mean_differences
from vaezoo.metrics.linear_fit import linear_r2
from vaezoo.metrics.mcc import mcc_pearson, mcc_spearman
from vaezoo.metrics.mig import mig_exact, mig_hist, mig_sampled
from vaezoo.metrics.mutual_info import mis
from vaezoo.metrics.protocol import Skip
from vaezoo.metrics.reconstruction_error import reconstruction
from vaezoo.metrics.sap import sap_continuous, sap_discrete
from vaezoo.metrics.units import active_units
from vaezoo.metrics.votes import factor_vae, factor_vae_paper

CONF = ROOT / "conf"

# The published constants where they are cheap, fewer vectors where they are not.
METRICS: dict[str, Callable[..., dict[str, Any]]] = {
    "higgins_svm": partial(higgins_svm, test=500),
    "higgins_logistic": partial(higgins_logistic, train=1000, test=500),
    "factor_vae": partial(factor_vae, train=2000, test=1000),
    "factor_vae_paper": factor_vae_paper,
    "mig_hist": mig_hist,
    "mig_exact": mig_exact,
    "mig_sampled": partial(mig_sampled, samples=200),
    "sap_discrete": partial(sap_discrete, train=1000, test=500),
    "sap_continuous": sap_continuous,
    "mcc_pearson": mcc_pearson,
    "mcc_spearman": mcc_spearman,
    "linear_r2": partial(linear_r2, train=2000, test=1000),
    "gtc": gtc,
    "gwc": gwc,
    "mis": mis,
    "correlation": correlation,
}
STOCHASTIC = [name for name, metric in METRICS.items() if "rng" in inspect.signature(metric).parameters]
WHOLE_TABLE = {name: metric for name, metric in METRICS.items() if name not in STOCHASTIC}
WHOLE_TABLE["mig_hist"] = partial(mig_hist, rows=None)
WHOLE_TABLE["mis"] = partial(mis, rows=None)


def score(name: str, codes: np.ndarray, **kwargs: Any) -> float:
    return run(METRICS[name], codes, **kwargs)["score"]


# Known answers


PERFECT = {
    "higgins_svm": 1.0,
    "higgins_logistic": 1.0,
    "factor_vae": 1.0,
    "factor_vae_paper": 1.0,
    "mig_hist": about(1, 2e-3),  # the bias of the runner-up
    "mig_exact": about(1, 1e-4),  # posteriors of neighbouring levels overlap a little
    "sap_continuous": close(1),
    "mcc_pearson": close(1),
    "mcc_spearman": close(1),
    "linear_r2": close(1),
    "gtc": close(0),
    "gwc": close(0),
    "correlation": close(0),
}
SANITY: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "one linear code a factor": (LINEAR, PERFECT),
    "permuted, rescaled, shifted, flipped": (LINEAR[:, [2, 0, 3, 1]] * (3, -0.5, 1.5, -1) + (0.3, 2, -5, 0), PERFECT),
    "each code twice": (
        np.hstack([LINEAR, LINEAR]),
        {
            "higgins_svm": 1.0,
            "higgins_logistic": 1.0,
            "factor_vae": 1.0,
            "mig_hist": 0.0,
            "mig_exact": 0.0,
            "sap_discrete": 0.0,
            "sap_continuous": close(0),
            "mcc_pearson": close(1),
            "mcc_spearman": close(1),
            "linear_r2": close(1),
            "gtc": float("inf"),
            # Two equal codes of variance 1: 2 tr Σ - 2 tr (D^½ Σ D^½)^½ = 4 - 2 √2 for each of the four couples.
            "gwc": pytest.approx(4 * (4 - 2 * np.sqrt(2)), rel=0.01),
        },
    ),
    "randomly rotated": (
        LINEAR @ rotation(K),
        {
            "higgins_svm": Between(0.5, 1),  # high for codes that are entangled as can be
            "higgins_logistic": Between(0.5, 1),
            "factor_vae": Between(0.3, 0.95),
            "mig_hist": Between(0, 0.3),
            "mig_exact": Between(0, 0.3),
            "sap_continuous": Between(0, 0.5),
            "linear_r2": close(1),  # blind to rotations
            "gtc": close(0),
            "correlation": close(0),
        },
    ),
    "independent noise": (
        noise(K),
        {
            "higgins_svm": about(1 / K, 0.08),
            "higgins_logistic": about(1 / K, 0.08),
            "factor_vae": about(1 / K, 0.12),
            "mig_hist": Between(0, 0.05),
            "mig_exact": Between(0, 0.05),
            "sap_continuous": Between(0, 0.02),
            "mcc_pearson": Between(0, 0.08),
            "mcc_spearman": Between(0, 0.08),
            "linear_r2": Between(-0.05, 0.03),
            "gtc": Between(0, 0.02),
        },
    ),
    "all constant": (
        np.full((len(FACTORS), K), 0.1),
        {
            "higgins_svm": about(1 / K, 0.08),
            "higgins_logistic": about(1 / K, 0.08),
            "factor_vae": 0.0,
            "factor_vae_paper": 0.0,
            "mig_hist": 0.0,
            "mig_exact": close(0),
            "sap_discrete": 0.0,
            "sap_continuous": 0.0,
            "mcc_pearson": 0.0,
            "mcc_spearman": 0.0,
            "linear_r2": about(0, 0.01),
            "gtc": pytest.approx(float("nan"), nan_ok=True),
            "gwc": 0.0,
            "mis": 0.0,
            "correlation": 0.0,
        },
    ),
    "one factor missing": (
        LINEAR[:, :-1],
        {
            "higgins_svm": Between(0.97, 1.01),  # the classifier names the missing factor when no code is small
            "higgins_logistic": 1.0,
            "factor_vae": about(1 - 1 / K, 0.04),
            "mig_hist": about(1 - 1 / K, 2e-3),
            "mig_exact": about(1 - 1 / K, 1e-4),
            "sap_continuous": close(1 - 1 / K),
            "mcc_pearson": close(1 - 1 / K),
            "mcc_spearman": close(1 - 1 / K),
            "linear_r2": about(1 - 1 / K, 0.01),
        },
    ),
    "one factor missing, noise instead": (
        np.hstack([LINEAR[:, :-1], noise(3)]),
        {"factor_vae": Between(1 - 1 / K + 0.04, 0.97)},  # noise wins votes for the missing factor
    ),
    "four dead codes besides": (
        np.hstack([LINEAR, 0.01 * noise(4)]),
        {
            "higgins_svm": 1.0,
            "higgins_logistic": 1.0,
            "factor_vae": 1.0,
            "mig_hist": Between(0.85, 0.99),  # the same bias, larger
            "mig_exact": Between(0.99, 1),
            "gtc": Between(0, 0.1),
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


def test_a_code_that_is_constant_wins_no_votes() -> None:
    codes = np.hstack([LINEAR, np.full((len(FACTORS), 1), 0.1)])
    result = run(factor_vae, codes)
    assert result["score"] == 1.0
    assert result["active_dims"] == K
    assert result["votes"][:, -1].sum() == 0
    assert run(partial(factor_vae_paper, min_kl=0.0), codes)["active_dims"] == K


def test_factor_vae_throws_away_informative_codes_on_a_small_scale() -> None:
    result = run(factor_vae, 0.02 * LINEAR)
    assert (result["score"], result["train_accuracy"], result["active_dims"]) == (0, 0, 0)
    np.testing.assert_allclose(result["stds"], 0.02, rtol=2e-3)
    mixed = LINEAR * (1, 1, 1, 0.02)
    assert run(factor_vae, mixed)["active_dims"] == K - 1
    assert run(partial(factor_vae, threshold=0.01), mixed)["score"] == 1.0


def test_factor_vae_is_judged_on_fresh_votes() -> None:
    result = run(partial(factor_vae, train=60), noise(30))
    assert result["train_accuracy"] > 0.5  # sixty votes among thirty codes of noise
    assert result["score"] == about(1 / K, 0.1)


def test_factor_vae_paper_drops_codes_by_their_divergence() -> None:
    # A collapsed code (mean near 0, σ = 1) that follows the first factor exactly, beside one that really encodes it.
    codes = np.hstack([LINEAR, 0.01 * LINEAR[:, :1]])
    logvars = np.hstack([np.full_like(LINEAR, -4.0), np.zeros((len(LINEAR), 1))])
    result = factor_vae_paper(codes, logvars, FACTORS, np.random.default_rng(0))
    assert result["active_dims"] == K
    assert result["votes"].tolist() == np.hstack([200 * np.eye(K), np.zeros((K, 1))]).tolist()


@pytest.fixture(scope="module")
def dsprites() -> tuple[np.ndarray, np.ndarray]:
    """The five factors of dSprites and noiseless linear codes of them."""
    factors = product((3, 6, 40, 32, 32)).astype(np.uint8)
    return factors, (2 * factors / np.array([2, 5, 39, 31, 31]) - 1).astype(np.float32)


def test_the_ceiling_of_mig_hist_on_dsprites(dsprites: tuple[np.ndarray, np.ndarray]) -> None:
    factors, codes = dsprites
    result = mig_hist(codes, factors, np.random.default_rng(0), rows=None)
    assert result["score"] == about(0.902, 1e-3)  # 20 bins cannot tell 40 and 32 levels apart
    np.testing.assert_allclose(result["gaps"], [1, 1, 0.81, 0.85, 0.85], atol=5e-3)


def test_sap_discrete_is_low_for_near_perfect_codes_of_dsprites(dsprites: tuple[np.ndarray, np.ndarray]) -> None:
    factors, codes = dsprites
    result = sap_discrete(codes, factors, np.random.default_rng(0))
    assert result["score"] == about(0.24, 0.02)
    np.testing.assert_allclose(result["gaps"][:2], [0.66, 0.45], atol=0.06)
    assert (result["gaps"][2:] < 0.06).all()


def test_sap_discrete_on_a_factor_of_two_levels() -> None:
    factors = product((2, 50, 20))[:, :1]
    codes = np.hstack([factors - 0.5, noise(1, len(factors))])
    result = run(partial(sap_discrete, train=4000, test=2000), codes, factors)
    assert result["accuracy"][0, 0] == 1.0
    assert result["score"] == about(0.5, 0.05)
    # Classes weigh the same however rare: noise is right half the time, where "always the same" is right in 9 of 10.
    rare = (np.arange(len(factors)) % 10 == 0)[:, None].astype(int)
    assert run(sap_discrete, noise(2, len(factors)), rare)["accuracy"] == about(0.5, 0.25)
    # Judged on rows of its own, seven of them.
    few = 7 * run(partial(sap_discrete, test=7), noise(5, len(factors)), factors)["accuracy"]
    np.testing.assert_allclose(few, np.round(few), atol=1e-9)


# Invariants


ENTANGLED = SMOOTH @ rotation(K)


@pytest.mark.parametrize("name", METRICS)
def test_the_order_of_codes_does_not_matter(name: str) -> None:
    tolerance = 0.006 if name.startswith("higgins") else 0.02 if name == "mig_sampled" else 1e-6
    assert score(name, SMOOTH[:, [3, 1, 0, 2]]) == about(score(name, SMOOTH), tolerance)


@pytest.mark.parametrize("name", WHOLE_TABLE)
def test_the_order_of_rows_does_not_matter(name: str) -> None:
    rows = np.random.default_rng(3).permutation(len(FACTORS))
    shuffled = run(WHOLE_TABLE[name], SMOOTH[rows], factors=FACTORS[rows])["score"]
    assert shuffled == about(run(WHOLE_TABLE[name], SMOOTH)["score"], 1e-9)


@pytest.mark.parametrize("name", ["higgins_svm", "higgins_logistic", "factor_vae"])
def test_a_full_product_in_any_order_is_sampled_alike(name: str) -> None:
    rows = np.random.default_rng(3).permutation(len(FACTORS))
    shuffled, ordered = run(METRICS[name], SMOOTH[rows], factors=FACTORS[rows]), run(METRICS[name], SMOOTH)
    assert shuffled["interventional"]
    assert ordered["interventional"]
    assert shuffled["score"] == ordered["score"]


@pytest.mark.parametrize(
    "name", ["mig_hist", "sap_continuous", "mcc_pearson", "mcc_spearman", "linear_r2", "gtc", "mis"]
)
def test_affine_maps_of_single_codes_change_nothing(name: str) -> None:
    mapped = SMOOTH * (-7, 0.01, 3, 1) + (1, 0, -2, 5)
    assert score(name, mapped, dtype=np.float64) == about(score(name, SMOOTH, dtype=np.float64), 1e-6)


def test_affine_maps_of_codes_and_posteriors_do_not_change_mig_exact() -> None:
    scale = np.array([-7, 0.01, 3, 1])
    logvars = np.full_like(SMOOTH, -3) + noise(K)
    mapped = mig_exact(SMOOTH * scale + 1, logvars + 2 * np.log(np.abs(scale)), FACTORS)
    assert mapped["score"] == about(mig_exact(SMOOTH, logvars, FACTORS)["score"], 1e-6)


@pytest.mark.parametrize("name", ["higgins_svm", "higgins_logistic", "factor_vae", "sap_discrete", "gwc"])
def test_the_scale_of_codes_matters(name: str) -> None:
    assert abs(score(name, ENTANGLED * 0.04) - score(name, ENTANGLED)) > 0.01


def test_names_of_levels_matter_only_where_levels_are_numbers() -> None:
    factors = FACTORS.copy()
    for column in factors.T:
        column[:] = 3 + 2 * np.random.default_rng(column.max()).permutation(column.max() + 1)[column]
    drawing = ("higgins_svm", "higgins_logistic", "factor_vae", "factor_vae_paper", "sap_discrete")
    for name in ("mig_hist", "mig_exact", *drawing):
        if name in WHOLE_TABLE or name == "mig_hist":
            assert run(WHOLE_TABLE[name], SMOOTH, factors=factors)["score"] == close(
                run(WHOLE_TABLE[name], SMOOTH)["score"]
            )
        else:  # other rows are drawn, from the same law
            assert score(name, SMOOTH, factors=factors) == about(score(name, SMOOTH), 0.06)
    assert abs(score("sap_continuous", SMOOTH, factors=factors) - score("sap_continuous", SMOOTH)) > 0.05
    moved = run(correlation, SMOOTH, factors=factors)["factors"] - run(correlation, SMOOTH)["factors"]
    assert np.abs(moved).max() > 0.1


@pytest.mark.parametrize("name", METRICS)
def test_single_and_double_precision_agree(name: str) -> None:
    tolerance = 2e-3 if name in ("mig_hist", "mis") else 1e-4
    single, double = score(name, SMOOTH), score(name, SMOOTH.astype(np.float32).astype(np.float64), dtype=np.float64)
    assert single == about(double, tolerance)


@pytest.mark.parametrize("name", [name for name in METRICS if "factors" in inspect.signature(METRICS[name]).parameters])
def test_a_factor_with_one_level_is_left_out(name: str) -> None:
    constant = np.full((len(FACTORS), 1), 2)
    if name == "correlation":
        assert not run(correlation, SMOOTH, factors=constant)["factors"].any()
        return
    padded = np.hstack([FACTORS[:, :2], constant, FACTORS[:, 2:]])
    assert score(name, SMOOTH, factors=padded) == score(name, SMOOTH)
    with pytest.raises(Skip, match="no factor varies"):
        score(name, SMOOTH, factors=constant)


@pytest.mark.parametrize(
    "name",
    ["mig_hist", "mig_exact", "mig_sampled", "sap_discrete", "sap_continuous", "mis", "correlation"],
)
def test_one_code_leaves_nothing_to_compare(name: str) -> None:
    with pytest.raises(Skip, match="two codes"):
        score(name, SMOOTH[:, :1])


@pytest.mark.parametrize("name", ["factor_vae", "mcc_pearson", "mcc_spearman", "linear_r2", "gtc", "gwc"])
def test_one_code_is_fine_elsewhere(name: str) -> None:
    assert np.isfinite(score(name, SMOOTH[:, :1]))


def test_naming_the_fixed_factor_needs_two() -> None:
    with pytest.raises(Skip, match="two factors"):
        score("higgins_logistic", SMOOTH, factors=FACTORS[:, :1])


# Randomness


@pytest.mark.parametrize("name", STOCHASTIC)
def test_the_seed_decides_everything_and_the_global_state_is_left_alone(name: str) -> None:
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = run(METRICS[name], ENTANGLED, seed=4)
    np.random.seed(6)  # noqa: NPY002
    again = run(METRICS[name], ENTANGLED, seed=4)
    np.random.seed(5)  # noqa: NPY002
    run(METRICS[name], ENTANGLED, seed=4)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert first.keys() == again.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(value, again[key])
    other = run(METRICS[name], ENTANGLED, seed=5)
    assert any(not np.array_equal(value, other[key]) for key, value in first.items())


# Groups


def p_uniform(levels: np.ndarray, size: int) -> float:
    return float(stats.chisquare(np.bincount(levels.ravel(), minlength=size)).pvalue)


@pytest.mark.parametrize("table", ["product", "copies", "lists"])
def test_one_factor_is_fixed_and_the_others_are_uniform(table: str) -> None:
    # Two copies of a grid and one row more are not a product, but nearly have its law: both samplers must draw from it.
    copies = np.vstack([FACTORS, FACTORS])
    factors = {"product": FACTORS, "copies": copies, "lists": np.vstack([copies, FACTORS[:1]])}[table]
    groups = Groups(factors)
    assert groups.full_product == (table != "lists")
    rng = np.random.default_rng(0)
    k = np.repeat(np.arange(K), 100)
    a, b = groups.draw_pairs(rng, k, 100)
    batches = groups.draw_batches(rng, k, 64)
    for fixed in range(K):
        in_a, in_b, in_batch = (factors[rows[k == fixed]] for rows in (a, b, batches))
        np.testing.assert_array_equal(in_a[:, :, fixed], in_b[:, :, fixed])
        assert len(np.unique(in_a[0, :, fixed])) > 1  # shared within a pair, not between pairs
        np.testing.assert_array_equal(in_batch[:, :, fixed], in_batch[:, :1, fixed].repeat(64, axis=1))
        assert p_uniform(in_batch[:, 0, fixed], SIZES[fixed]) > 1e-4
        for m in range(K):
            assert p_uniform(in_a[:, :, m], SIZES[m]) > 1e-4
            if m != fixed:
                assert p_uniform(in_b[:, :, m], SIZES[m]) > 1e-4
                assert p_uniform(in_batch[:, :, m], SIZES[m]) > 1e-4
                joint = np.bincount((in_a[:, :, m] * SIZES[m] + in_b[:, :, m]).ravel(), minlength=SIZES[m] ** 2)
                assert stats.chisquare(joint).pvalue > 1e-4  # and independent of one another
    if table != "product":
        assert (batches >= len(FACTORS)).mean() == about(0.5, 0.03)  # every row, not the first of its kind


def test_groups_of_an_irregular_table() -> None:
    factors = thinned()
    groups = Groups(factors)
    assert not groups.full_product
    assert groups.sizes.tolist() == [3, 4, 4, 8]
    rng = np.random.default_rng(0)
    level = rng.integers(3, size=2000)
    rows = groups.draw_matching(rng, np.zeros(2000, dtype=np.int64), level)
    np.testing.assert_array_equal(factors[rows, 0], level)
    batches = factors[groups.draw_batches(rng, np.full(3000, 2), 5)][:, :, 2]
    assert (batches == batches[:, :1]).all()
    assert p_uniform(np.searchsorted([0, 2, 3, 4], batches[:, 0]), 4) > 1e-4  # levels that occur, none of them more
    first = factors[groups.draw_batches(rng, np.zeros(3000, dtype=np.int64), 1)][:, 0, 0]
    assert p_uniform(first, 3) > 1e-4  # one of the levels, not the level of one of the rows
    a, _ = groups.draw_pairs(rng, np.zeros(3000, dtype=np.int64), 5)
    assert p_uniform(a, len(factors)) > 1e-4


def test_a_subset_of_a_product_is_not_interventional() -> None:
    rows = np.random.default_rng(0).permutation(len(FACTORS))[:300]
    for name in ("higgins_logistic", "higgins_svm", "factor_vae", "factor_vae_paper"):
        assert run(METRICS[name], LINEAR)["interventional"] is True
        result = run(METRICS[name], LINEAR[rows], factors=FACTORS[rows])
        assert result["interventional"] is False
        assert result["score"] > 0.98
    repeated = FACTORS.copy()
    repeated[0] = repeated[1]  # the right number of rows, but one combination twice and one missing
    assert not Groups(repeated).full_product


@pytest.mark.parametrize("name", METRICS)
def test_scores_of_incomplete_and_of_repeated_grids(name: str) -> None:
    """Codes that are the factors are found in whatever rows there are; copies change nothing but the draws."""
    whole = run(METRICS[name], LINEAR)["score"]
    factors = thinned()
    for levels, near in ((factors, 0.15), (np.repeat(FACTORS, 3, axis=0), 0.05)):
        codes = (levels - FACTORS.mean(axis=0)) / FACTORS.std(axis=0)
        result = run(METRICS[name], codes, factors=levels)
        assert result["score"] == pytest.approx(whole, abs=near)
        if "interventional" in result:
            assert result["interventional"] == (levels is not factors)


def test_huge_products_of_few_rows() -> None:
    attributes = np.random.default_rng(0).integers(2, size=(500, 80))  # 2^80 cells
    assert not Groups(attributes).full_product


def test_varying_renumbers_levels() -> None:
    factors = np.array([[3, 1, 0], [3, 5, 2], [3, 1, 2]])
    levels, sizes, kept = renumber_levels(factors)
    assert levels.tolist() == [[0, 0], [1, 1], [0, 1]]
    assert (sizes.tolist(), kept.tolist()) == ([2, 2], [1, 2])


# Against slow references


def test_a_stratified_choice_gives_each_class_its_share() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([7, 2, 5, 0], [50, 30, 19, 1]))
    chosen = draw_stratified(labels, 10, np.random.default_rng(1))
    assert (np.diff(chosen) > 0).all()
    # The shares are 5, 3, 1.9 and 0.1 rows: the row that rounding down leaves goes to 1.9.
    assert sorted(labels[chosen].tolist()) == [2, 2, 2, 5, 5, 7, 7, 7, 7, 7]
    for count in range(101):  # always exact, and never more than one row away from the share
        counts = np.bincount(labels[draw_stratified(labels, count, np.random.default_rng(count))], minlength=8)
        assert counts.sum() == count
        assert (np.abs(counts - np.bincount(labels) * count / 100) < 1).all()
    assert draw_stratified(labels, 1_000, np.random.default_rng(0)).tolist() == list(range(100))


def test_of_equal_remainders_the_first_class_has_the_row() -> None:
    labels = np.array([3, 1, 2, 1, 2, 3])
    assert labels[draw_stratified(labels, 1, np.random.default_rng(0))].tolist() == [1]
    assert sorted(labels[draw_stratified(labels, 5, np.random.default_rng(0))].tolist()) == [1, 1, 2, 2, 3]


def test_a_stratified_choice_is_uniform_within_a_class_and_its_seed_decides() -> None:
    labels = np.repeat([0, 1], [8, 4])
    drawn = [draw_stratified(labels, 6, np.random.default_rng(seed)) for seed in range(2_000)]
    assert (drawn[3] == draw_stratified(labels, 6, np.random.default_rng(3))).all()
    shares = np.bincount(np.concatenate(drawn), minlength=12) / 2_000
    assert np.abs(shares - 0.5).max() < 0.05  # 4.5 standard deviations


def test_mutual_information_by_counting() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(4, size=(200, 3)), rng.integers(3, size=(200, 2))
    y[:, 0] = (x[:, 0] + y[:, 0]) // 3
    information = mutual_information(x, y)
    for i in range(3):
        for k in range(2):
            total = 0.0
            for a in range(4):
                for b in range(3):
                    p = np.mean((x[:, i] == a) & (y[:, k] == b))
                    if p > 0:
                        total += p * np.log(p / np.mean(x[:, i] == a) / np.mean(y[:, k] == b))
            assert information[i, k] == about(total, 1e-12)
    assert factor_entropies(FACTORS) == pytest.approx(np.log(SIZES))
    np.testing.assert_allclose(np.diag(mutual_information(y, y)), factor_entropies(y))


def test_discretise_as_the_library_does() -> None:
    codes = np.hstack([noise(3, 500), np.full((500, 1), 4.2)])
    for column, code in zip(discretise(codes, 20).T, codes.T, strict=True):
        _, edges = np.histogram(code, 20)
        np.testing.assert_array_equal(column, np.digitize(code, edges[:-1]) - 1)
    assert discretise(codes, 20)[:, :3].min() == 0
    assert discretise(codes, 20)[:, :3].max() == 19
    assert np.ptp(discretise(codes, 20)[:, 3]) == 0


def test_gap() -> None:
    table = np.array([[0.1, 0.5], [0.9, 0.5], [0.6, 0.2]])
    np.testing.assert_allclose(gap(table), [0.3, 0.0])


def test_mean_differences_have_the_expectation_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    k = np.repeat(np.arange(K), 200)
    x = mean_differences(SMOOTH, Groups(FACTORS), rng, k, 64)
    distance = np.abs(SMOOTH[:, None] - SMOOTH)  # (N, N, D)
    for fixed in range(K):
        agree = FACTORS[:, None, fixed] == FACTORS[:, fixed]
        pairs = distance[agree]
        standard_error = pairs.std(axis=0) / np.sqrt(200 * 64)
        assert (np.abs(x[k == fixed].mean(axis=0) - pairs.mean(axis=0)) < 5 * standard_error).all()


def test_factor_vae_by_a_plain_loop() -> None:
    codes = LINEAR @ rotation(K) * (1, 2, 0.5, 1)
    rng = np.random.default_rng(11)
    variance = codes.var(axis=0, ddof=1)

    def vote() -> tuple[int, int]:
        k = int(rng.integers(K))
        level = rng.integers(SIZES[k])
        batch = []
        for _ in range(64):
            v = [rng.integers(size) for size in SIZES]
            v[k] = level
            batch.append(codes[np.ravel_multi_index(v, SIZES)])
        return k, int(np.argmin(np.var(batch, axis=0, ddof=1) / variance))

    table = np.zeros((K, K))
    for _ in range(1500):
        table[vote()] += 1
    result = run(partial(factor_vae, train=10_000, test=10_000), codes)
    assert result["votes"].sum() == 10_000
    shares = result["votes"] / 10_000
    # Each cell of 1500 loose votes has a standard deviation of √(p (1 - p) / 1500).
    assert (np.abs(table / 1500 - shares) < 4.5 * np.sqrt((shares + 1e-3) / 1500)).all()
    assert result["score"] == about(table.max(axis=0).sum() / 1500, 0.06)


def test_pearson_and_covariance() -> None:
    codes = np.hstack([SMOOTH, np.full((len(SMOOTH), 1), 0.1)]).astype(np.float32)
    expected = np.corrcoef(SMOOTH.astype(np.float32), FACTORS, rowvar=False)
    result = correlation(codes, FACTORS.astype(np.uint8))
    np.testing.assert_allclose(result["codes"][:K, :K], expected[:K, :K], atol=1e-9)
    np.testing.assert_allclose(result["factors"][:, :K], expected[K:, :K], atol=1e-9)
    assert result["factors"].shape == (K, K + 1)
    assert not result["codes"][-1].any()
    assert result["constant_codes"] == 1
    assert "factors" not in correlation(codes)
    upper = [abs(expected[i, j]) for i in range(K) for j in range(i + 1, K)]
    assert correlation(SMOOTH.astype(np.float32))["score"] == about(np.mean(upper), 1e-9)
    large = 1000 + noise(3, 70_000)  # more than one chunk of rows, far from 0
    np.testing.assert_allclose(covariance(large), np.cov(large, rowvar=False), atol=1e-9)
    assert (pearson(1e-7 * SMOOTH, floor=1e-12) == 0).all()


def test_sap_continuous_by_a_plain_loop() -> None:
    r2 = [[np.corrcoef(SMOOTH[:, d], FACTORS[:, k])[0, 1] ** 2 for k in range(K)] for d in range(K)]
    result = sap_continuous(SMOOTH, FACTORS)
    np.testing.assert_allclose(result["r2"], r2)
    assert result["score"] == about(np.mean([sorted(c)[-1] - sorted(c)[-2] for c in zip(*r2, strict=True)]), 1e-9)


@pytest.mark.parametrize(("metric", "ranks"), [(mcc_pearson, np.asarray), (mcc_spearman, stats.rankdata)])
def test_mcc_by_trying_every_assignment(metric: Callable[..., Any], ranks: Callable[..., Any]) -> None:
    codes = np.hstack([0.5 * noise(1), LINEAR @ rotation(K)])  # a code more than factors
    r = [[np.corrcoef(ranks(code), ranks(level))[0, 1] for level in FACTORS.T] for code in codes.T]
    sums = {order: sum(abs(r[d][k]) for k, d in enumerate(order)) for order in permutations(range(K + 1), K)}
    best = max(sums, key=sums.__getitem__)
    greedy = np.abs(r).max(axis=0).sum()  # gives some code to two factors, so that the assignment decides
    result = metric(codes, FACTORS)
    assert result["score"] == close(sums[best] / K)
    assert result["score"] < greedy / K - 0.01
    assert tuple(result["latents"]) == best
    np.testing.assert_allclose(result["correlations"], r, atol=1e-9)
    assert list(metric(LINEAR[:, [3, 1]], FACTORS)["latents"]) == [-1, 1, -1, 0]


def test_rank_correlations_take_any_monotone_code() -> None:
    bent = np.exp(3 * LINEAR)
    assert mcc_spearman(bent, FACTORS)["score"] == close(1)
    assert mcc_pearson(bent, FACTORS)["score"] < 0.9


def test_r2_of_noisy_codes_and_of_a_fit_that_does_not_hold() -> None:
    rows = np.random.default_rng(0).integers(len(FACTORS), size=30_000)
    noisy = LINEAR[rows] + 0.5 * noise(K, 30_000)
    result = linear_r2(noisy, FACTORS[rows], np.random.default_rng(0))
    np.testing.assert_allclose(
        result["of_factors"], 1 / (1 + 0.25), atol=0.02
    )  # the share of v in the variance of v + ε
    # As many codes of noise as rows are fitted without an error, and say nothing of other rows.
    learned = linear_r2(noise(40, 50), FACTORS[:50, -2:], np.random.default_rng(0), train=100, test=50)
    assert learned["score"] < -0.5


def test_mutual_info_score() -> None:
    three = np.stack([FACTORS[:, 3], FACTORS[:, 3], FACTORS[:, 0]], axis=1).astype(float)
    # Two of six ordered pairs share ln 8 nats, the other four nothing.
    assert run(WHOLE_TABLE["mis"], three)["score"] == close(2 * np.log(8) / 6)
    independent = run(mis, noise(6, 50_000), np.zeros((50_000, 1), dtype=int))["score"]
    assert independent == about(0.014, 0.006)  # the bias: up to (20 - 1)² / 20 000, less for nearly empty bins


# The aggregate posterior


def mixture_entropy(mu: np.ndarray, sigma: np.ndarray) -> float:
    def integrand(z: float) -> float:
        q = stats.norm.pdf(z, mu, sigma).mean()
        return -q * np.log(q) if q > 0 else 0.0

    points = np.sort(np.concatenate([mu, mu - 3 * sigma, mu + 3 * sigma]))
    return integrate.quad(integrand, (mu - 9 * sigma).min(), (mu + 9 * sigma).max(), points=points, limit=500)[0]


def test_quadrature_against_numerical_integration() -> None:
    mu, sigma = np.array([-1.0, 0.3, 0.5, 2.0, 0.1]), np.array([0.2, 0.5, 0.05, 0.3, 1.0])
    levels = np.array([[0, 0], [0, 1], [1, 2], [1, 1], [1, 0]])  # levels that occur unequally often
    whole, given = entropies_by_quadrature(mu, sigma, levels, np.array([2, 3]))
    many = entropies_by_quadrature(np.tile(mu, 500), np.tile(sigma, 500), np.tile(levels, (500, 1)), np.array([2, 3]))
    np.testing.assert_allclose(np.append(many[1], many[0]), np.append(given, whole), atol=1e-10)
    assert whole == about(mixture_entropy(mu, sigma), 1e-7)
    for k, size in enumerate((2, 3)):
        chosen = [levels[:, k] == u for u in range(size)]
        assert given[k] == about(sum(c.mean() * mixture_entropy(mu[c], sigma[c]) for c in chosen), 1e-7)


@pytest.mark.parametrize("sigma", [1e-8, 0.003, 1.0, 50.0])
def test_every_estimator_knows_one_gaussian(sigma: float) -> None:
    mu, sigmas = np.full(600, 0.7), np.full(600, sigma)
    levels, sizes = np.arange(600)[:, None] % 2, np.array([2])
    exact = 0.5 * np.log(2 * np.pi * np.e * sigma**2)
    sample = partial(entropies_by_sampling, rng=np.random.default_rng(0), samples=600)
    for estimate, within in (
        (entropies_by_quadrature, 1e-6),
        (entropies_by_binning, 1e-6),
        (sample, 0.15),
    ):
        whole, given = estimate(mu, sigmas, levels, sizes)
        assert whole == about(exact, within)
        assert given[0] == about(exact, within)


POSTERIORS: dict[str, Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]] = {
    "sharp": lambda rng: (LINEAR[:, 3] + 0.1 * rng.normal(size=480), np.full(480, 0.01)),
    "soft": lambda rng: (LINEAR[:, 3] + 0.1 * rng.normal(size=480), np.full(480, 0.3)),
    "varied": lambda rng: (LINEAR[:, 1] + rng.normal(size=480), 0.2 * np.exp(rng.normal(size=480))),
    "fine": lambda rng: (LINEAR[:, 2] + 0.1 * rng.normal(size=480), 0.002 * np.exp(0.3 * rng.normal(size=480))),
    "collapsed": lambda rng: (0.001 * rng.normal(size=480), 1 + 0.001 * rng.normal(size=480)),
    "half alive": lambda rng: (LINEAR[:, 3] * FACTORS[:, 0], np.where(FACTORS[:, 0] == 0, 1.0, 0.02)),
    "discrete": lambda rng: (LINEAR[:, 3], np.full(480, 1e-4)),
}


@pytest.mark.parametrize("case", POSTERIORS)
def test_binned_agrees_with_quadrature(case: str) -> None:
    mu, sigma = POSTERIORS[case](np.random.default_rng(2))
    q, q_given = entropies_by_quadrature(mu, sigma, FACTORS, np.array(SIZES))
    b, b_given = entropies_by_binning(mu, sigma, FACTORS, np.array(SIZES))
    np.testing.assert_allclose(b - b_given, q - q_given, atol=3e-4)


@pytest.mark.parametrize("case", ["soft", "varied", "collapsed"])
def test_sampling_agrees_with_quadrature_within_its_noise(case: str) -> None:
    mu, sigma = POSTERIORS[case](np.random.default_rng(2))
    q, q_given = entropies_by_quadrature(mu, sigma, FACTORS, np.array(SIZES))
    draws = [
        entropies_by_sampling(mu, sigma, FACTORS, np.array(SIZES), np.random.default_rng(s), 480) for s in range(24)
    ]
    values = np.array([np.append(given, whole) for whole, given in draws])
    error = values.std(axis=0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(values.mean(axis=0) - np.append(q_given, q)) < 5 * error + 1e-4).all()
    assert (error < 0.03).all()


def test_mig_exact_chooses_an_estimator_it_can_afford() -> None:
    assert run(mig_exact, LINEAR)["binned"] is False
    assert run(mig_exact, LINEAR, sigma=1e-7)["binned"] is True
    for estimator in ("quadrature", "binned"):
        result = run(partial(mig_exact, estimator=estimator), SMOOTH)
        assert result["score"] == about(run(mig_exact, SMOOTH)["score"], 3e-4)
    with pytest.raises(ValueError, match="quadratur'"):
        run(partial(mig_exact, estimator="quadratur"), SMOOTH)


def test_posteriors_narrower_than_any_grid_leave_the_information_of_the_means() -> None:
    result = run(mig_exact, np.hstack([LINEAR, np.full((len(LINEAR), 1), 3.0)]), sigma=1e-30)
    assert result["score"] == close(1)
    np.testing.assert_allclose(result["information"][-1], 0, atol=1e-9)
    whole, given = entropies_by_binning(LINEAR[:, 3], np.full(len(LINEAR), 1e-20), FACTORS, np.array(SIZES))
    np.testing.assert_allclose(whole - given, [0, 0, 0, np.log(SIZES[3])], atol=1e-9)


def test_mig_exact_weighs_levels_by_how_often_they_occur() -> None:
    factors = thinned()
    codes = np.stack([factors[:, 0] * 1.0, np.zeros(len(factors))], axis=1)
    result = run(mig_exact, codes, factors=factors, sigma=0.01)
    np.testing.assert_allclose(result["information"][0], mutual_information(factors, factors)[0], atol=1e-6)
    assert result["gaps"][0] == close(1)


def test_mig_without_shape() -> None:
    codes = np.hstack([LINEAR, LINEAR[:, :1]])  # the first factor is kept twice
    logvars = np.full_like(codes, -9)
    assert "no_shape" not in mig_exact(codes, logvars, FACTORS)
    assert "no_shape" not in mig_exact(codes, logvars, FACTORS, ("form", "scale", "x", "y"))
    result = mig_exact(codes, logvars, FACTORS, ("shape", "scale", "x", "y"))
    assert result["score"] == close(3 / 4)
    assert result["no_shape"] == close(1)
    padded = np.hstack([np.ones((len(FACTORS), 1), dtype=int), FACTORS])  # names follow the columns that are left
    assert mig_exact(codes, logvars, padded, ("color", "shape", "scale", "x", "y"))["no_shape"] == close(1)


# Closed forms


def with_covariance(sigma: np.ndarray, rows: int = 1000) -> np.ndarray:
    """Codes whose sample covariance is exactly sigma."""
    white = noise(len(sigma), rows)
    white -= white.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    return white @ np.linalg.cholesky(sigma).T


def test_total_correlation_and_wasserstein_of_two_codes() -> None:
    a, b, c = 2.0, 0.6, 0.5
    codes = with_covariance(np.array([[a, b], [b, c]]))
    correlated = -0.5 * np.log(1 - b**2 / (a * c))
    assert gtc(codes)["score"] == close(correlated)
    # M = D^½ Σ D^½ is 2 by 2, so tr M^½ = √(tr M + 2 √det M).
    root = np.sqrt(a**2 + c**2 + 2 * np.sqrt(a * c * (a * c - b**2)))
    result = gwc(codes)
    assert result["score"] == close(2 * (a + c) - 2 * root)
    assert result["normalised"] == close((2 * (a + c) - 2 * root) / (a + c))


def test_total_correlation_and_wasserstein_of_many_codes() -> None:
    factor = noise(6, 6)
    sigma = factor @ factor.T + np.eye(6)
    codes = with_covariance(sigma)
    diagonal = np.diag(np.diag(sigma))
    definition = 0.5 * (np.log(np.diag(sigma)).sum() - np.linalg.slogdet(sigma)[1])
    result = gtc(codes)
    assert result["score"] == close(definition)
    assert result["active"] == close(definition)
    root = linalg.sqrtm(linalg.sqrtm(diagonal) @ sigma @ linalg.sqrtm(diagonal)).real
    assert gwc(codes)["score"] == close(2 * np.trace(sigma) - 2 * np.trace(root))


def test_the_active_total_correlation_is_finite() -> None:
    sigma = np.array([[1.0, 0.5], [0.5, 1.0]])
    codes = with_covariance(sigma)
    constant = np.hstack([codes, np.full((len(codes), 1), 0.1), 1e-3 * noise(1, len(codes))])
    result = gtc(constant.astype(np.float32))
    assert np.isnan(result["score"])
    assert result["active"] == about(-0.5 * np.log(0.75), 1e-5)
    assert result["active_dims"] == 2
    twice = gtc(np.hstack([codes, codes]))
    assert twice["score"] == float("inf")
    assert twice["active"] > 20
    for seed in range(5):  # seven codes that are mixtures of four, so that rounding hides the rank
        mixed = (SMOOTH @ np.random.default_rng(seed).normal(size=(4, 7))).astype(np.float32)
        assert gtc(mixed)["score"] == float("inf")
    nothing = gtc(np.zeros((10, 3)))
    assert (nothing["active"], nothing["active_dims"]) == (0, 0)


def test_divergence_from_the_prior() -> None:
    codes, logvars = np.array([[1.0, 0.0, 2.0]]), np.array([[0.0, 0.0, np.log(0.25)]])
    np.testing.assert_allclose(gaussian_kl(codes, logvars)[:2], [0.5, 0.0])
    q, p = stats.norm(2, 0.5), stats.norm(0, 1)
    numeric = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -4, 8, points=[2])[0]
    assert gaussian_kl(codes, logvars)[2] == close(numeric)


def test_elbo() -> None:
    codes = np.array([[1.0, 0.0, 0.1], [3.0, 0.0, 0.1]], dtype=np.float32)
    kl = gaussian_kl(codes, np.zeros_like(codes))
    result = elbo(np.array([-90.0, -110.0], dtype=np.float32), kl)
    np.testing.assert_allclose(result["kl_per_dim"], [2.5, 0.0, 0.005], atol=1e-6)
    assert result["rec"] == -100
    assert result["kl"] == close(2.505)
    assert result["elbo"] == close(-102.505)
    assert result["kl_ratio"] == close(2.505 / 102.505)
    assert result["dims_kl_above_0.01"] == 1
    assert not {"rec_floor", "neg_elbo_beta", "kl_ratio_weighted"} & result.keys()
    weighted = elbo(np.array([-90.0, -110.0]), kl, kl_weight=4.0)
    assert weighted["neg_elbo_beta"] == close(4 * 2.505 + 100)
    assert weighted["kl_ratio_weighted"] == close(10.02 / 110.02)
    assert weighted["elbo"] == result["elbo"]
    grey = elbo(np.full(2, -100.0), kl, np.array([4.0, 8.0]))
    assert grey["rec_floor"] == 6
    assert grey["bernoulli_on_grey"] is True
    assert elbo(np.full(2, -100.0), kl, np.zeros(2))["bernoulli_on_grey"] is False


def test_reconstruction() -> None:
    result = reconstruction(np.array([2.0, 4.0]), np.array([10.0, 20.0]), np.array([100.0, 300.0]), 50)
    assert result == {"recon_mse": 0.06, "recon_mae": 0.3, "recon_bce": 4.0, "recon_sse": 3.0}
    many = np.full(2_000_000, 0.1, dtype=np.float32)  # single precision would lose digits in the sum
    assert reconstruction(many, many, many, 1)["recon_mse"] == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_active_units() -> None:
    codes = np.array([[-1.0, 0.05, 3.0], [1.0, -0.05, 3.0]], dtype=np.float32)
    result = active_units(codes, np.log(np.array([[0.1, 1, 1], [0.3, 1, 1]])))
    assert result["score"] == 1
    assert result["share"] == pytest.approx(1 / 3)
    np.testing.assert_allclose(result["variance"], [1, 0.0025, 0], atol=1e-8)
    np.testing.assert_allclose(result["posterior_variance"], [0.2, 1, 1])


# Configuration


@pytest.mark.parametrize("path", sorted((CONF / "metric" / "score").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_score_spells_out_the_constants_of_its_protocol(path: Path) -> None:
    config = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(config, dict)
    assert list(config) == [path.stem]
    constants = dict(config[path.stem])
    metric = get_method(constants.pop("_target_"))
    assert metric.__name__ == path.stem
    assert constants.pop("_partial_") is True
    parameters = inspect.signature(metric).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert constants == OmegaConf.to_container(OmegaConf.create(defaults)), "in YAML's own types"
    assert path.read_text(encoding="utf-8").startswith("# @package metric.scores\n# ")


@pytest.mark.parametrize("bundle", ["none", "fast", "full"])
def test_a_bundle_composes(bundle: str) -> None:
    metric = compose_train(f"metric={bundle}").metric
    assert set(metric) == {"rows", "test_rows", "images", "inception", "seeds", "floors", "scores"}
    assert bool(metric.scores) == (bundle != "none")
    assert all(callable(instantiate(score)) for score in metric.scores.values())
    if bundle == "fast":
        assert metric.scores.factor_vae.train == metric.scores.higgins_logistic.train == 1000
