"""What metrics accept, and what they do where noise would look like good codes."""

import inspect

import numpy as np
import pytest

import vaezoo.metrics as metrics
from tests.support.codes import FACTORS, LINEAR, SIZES, noise, run
from vaezoo.errors import UserError
from vaezoo.metrics.aggregate import entropies_by_sampling
from vaezoo.metrics.array_checks import ARRAYS, convert
from vaezoo.metrics.directions import read_declarations
from vaezoo.metrics.groups import Groups
from vaezoo.metrics.protocol import Skip

OF_FACTORS = ("higgins_svm", "higgins_logistic", "factor_vae", "irs", "mig_hist", "dci_lasso", "explicitness")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def make_valid(name: str) -> np.ndarray:
    kind, axes = ARRAYS[name]
    if kind == "whole":
        return FACTORS[:12, : len(axes)].reshape(12, -1)[:, : SIZES[0]] if len(axes) == 2 else FACTORS[:12, 3]
    if kind == "boolean":
        return np.arange(12) % 2 == 0
    return np.random.default_rng(1).random((12, 3, 4, 4)[: len(axes)])


@pytest.mark.parametrize("name", [name for name in read_declarations() if name != "udr"])
def test_no_metric_takes_codes_or_images_that_are_not_finite(name: str) -> None:
    """The values are checked before anything is computed, in each of the arrays that the metric takes."""
    metric = getattr(metrics, name)
    names = [p for p in inspect.signature(metric).parameters if p in ARRAYS]
    valid = {p: make_valid(p) for p in names}
    others = {
        p.name: rng() if p.name == "rng" else None
        for p in inspect.signature(metric).parameters.values()
        if p.default is p.empty and p.name not in names
    }
    for bad in (p for p in names if ARRAYS[p][0] == "real"):
        for value in (np.nan, np.inf):
            array = valid[bad].copy()
            array[[2, 7]] = value
            with pytest.raises(UserError, match=f"{bad} has rows with nan or inf, 2 of 12"):
                metric(**others, **{**valid, bad: array})


def test_udr_names_the_run_whose_codes_are_not_finite() -> None:
    with pytest.raises(UserError, match="codes of run 1 has rows with nan or inf, 480 of 480"):
        metrics.udr([LINEAR, LINEAR * np.nan], [np.ones(4)] * 2)


@pytest.mark.parametrize("name", OF_FACTORS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.float16])
def test_small_types_give_the_scores_of_the_same_numbers(name: str, dtype: type) -> None:
    codes = np.round(40 * (LINEAR + 0.3 * noise(4)))
    codes = (codes - codes.min() if dtype is np.uint8 else codes.clip(-128, 127)).astype(dtype)
    wide = codes.astype(np.float32 if dtype is np.float16 else np.float64)
    metric = getattr(metrics, name)
    assert metric(codes, FACTORS.astype(np.uint8), rng())["score"] == metric(wide, FACTORS, rng())["score"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": LINEAR[:300]}, "factors has 480 rows, codes has 300"),
        ({"codes": np.vstack([LINEAR, LINEAR])}, "factors has 480 rows, codes has 960"),
        ({"codes": LINEAR[:, 0]}, r"codes must be \(N, D\) real numbers"),
        ({"codes": LINEAR.astype(complex)}, "not complex128"),
        ({"codes": np.ma.masked_less(LINEAR, 0)}, "codes has masked entries"),
        ({"factors": FACTORS - 1}, "factors has values from -1 to 6"),
        ({"factors": FACTORS * 1.0}, r"factors must be \(N, K\) whole numbers"),
        ({"factors": FACTORS[:, 0]}, r"factors must be \(N, K\)"),
    ],
)
def test_arrays_that_do_not_fit(changes: dict, message: str) -> None:
    arrays = {"codes": LINEAR, "factors": FACTORS, **changes}
    for name in OF_FACTORS:
        with pytest.raises(UserError, match=message):
            getattr(metrics, name)(**arrays, rng=rng())


def test_other_arrays_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"held_out must be \(N,\) booleans"):
        metrics.probe_logistic(LINEAR, FACTORS[:, 0], np.arange(480) % 2)
    with pytest.raises(UserError, match=r"logvars has shape \(480, 3\), means has \(480, 4\)"):
        metrics.mig_exact(LINEAR, LINEAR[:, :3], FACTORS)
    with pytest.raises(TypeError, match=r"irs\(\): "):
        metrics.irs(LINEAR)


def test_floats_keep_their_precision_and_are_not_copied() -> None:
    for dtype in (np.float32, np.float64):
        codes = LINEAR.astype(dtype)
        assert convert("codes", codes, *ARRAYS["codes"]) is codes


# ---- few rows a level ------------------------------------------------------------------------------------------------


def few_rows(rows_a_level: int, count: int = 9000) -> np.ndarray:
    """Factors of pictures that were each turned to some angles: the picture, and the angle."""
    rows = np.arange(count)
    return np.stack([rows // rows_a_level, rows % rows_a_level], axis=1)


@pytest.mark.parametrize("name", ["higgins_svm", "higgins_logistic", "factor_vae"])
def test_noise_gets_no_more_than_chance_with_few_rows_a_level(name: str) -> None:
    """Where a row may be its own partner, Higgins gets 0.93 for this noise."""
    factors = few_rows(9)
    result = getattr(metrics, name)(10 * noise(10, len(factors)), factors, rng(), train=1000, test=500)
    assert result["score"] < 0.57
    assert "left_out" not in result


def test_no_row_is_paired_with_itself() -> None:
    for factors in (few_rows(2, 60), np.delete(few_rows(3, 60), 4, axis=0)):
        groups = Groups(factors, fewest=2)
        k = np.arange(500) % len(groups.sizes)
        a, b = groups.draw_pairs(rng(), k, 20)
        assert (a != b).all()
        assert (groups.levels[a, k[:, None]] == groups.levels[b, k[:, None]]).all()
    # Every other row of the level is drawn equally often.
    groups = Groups(few_rows(5, 50), fewest=2)
    a, b = groups.draw_pairs(rng(), np.zeros(5000, np.int64), 10)
    counts = np.bincount((b - a).ravel() % 5, minlength=5)
    assert counts[0] == 0
    assert counts[1:].min() > 0.95 * counts[1:].max() > 0


SCATTERED = np.sort(rng().choice(90_000, 7_000, replace=False))  # rows of a table of nine angles for each picture


def test_factors_with_too_few_rows_are_left_out_and_named() -> None:
    table = np.stack([SCATTERED // 9, SCATTERED % 9, SCATTERED % 7], axis=1)
    names = ("picture", "angle", "colour")
    codes = noise(6, len(table))
    for name, least in (("higgins_svm", 2), ("higgins_logistic", 2), ("factor_vae", 8), ("irs", 8)):
        metric = getattr(metrics, name)
        result = metric(codes, table, rng(), factor_names=names)
        assert result["left_out"] == f"picture (1 row of a level, {least} needed)"
        assert result["score"] == metric(codes, table[:, 1:], rng(), factor_names=names[1:])["score"]
    assert result["true_levels"] < 0.5  # of irs, which was 0.99
    # A single code of noise beside collapsed codes, which got 0.07 for the picture.
    logvars = np.where(np.arange(6) == 0, -4.0, 0.0) + 0 * codes
    means = np.where(np.arange(6) == 0, codes, 0.0)
    result = metrics.mig_exact(means, logvars, table, factor_names=names)
    assert result["left_out"] == "picture (1 row of a level, 8 needed)"
    assert result["score"] < 0.01
    for name in ("higgins_svm", "higgins_logistic", "factor_vae"):
        with pytest.raises(Skip, match=r"two factors or more; left out: picture \(1 row of a level"):
            getattr(metrics, name)(codes, table[:, :2], rng(), factor_names=names[:2])
    with pytest.raises(Skip, match=r"no factor is left that varies; too few rows: factor 0 \(1 row"):
        metrics.irs(codes, table[:, :1], rng())


def test_a_single_factor_has_nothing_to_be_named_from() -> None:
    for name in ("higgins_svm", "higgins_logistic", "factor_vae", "factor_vae_paper"):
        with pytest.raises(Skip, match="two factors or more"):
            run(getattr(metrics, name), noise(4), factors=FACTORS[:, :1])


# ---- the published estimator of mig_sampled --------------------------------------------------------------------------


def test_draws_are_shared_by_all_populations() -> None:
    """So collapsed posteriors tell exactly nothing, and separate ones tell all of a factor."""
    equal, ones = np.zeros(480), np.ones(480)
    entropy, conditional = entropies_by_sampling(equal, ones, FACTORS, np.array(SIZES), rng(), samples=480)
    np.testing.assert_allclose(conditional, entropy, atol=1e-12)
    logvars = np.full_like(LINEAR, 2 * np.log(0.02))
    result = metrics.mig_sampled(LINEAR, logvars, FACTORS, rng())
    assert result["score"] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(result["information"][~np.eye(4, dtype=bool)], 0, atol=1e-12)
