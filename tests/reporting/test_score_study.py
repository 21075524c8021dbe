"""The study of a study: shares of variance and correlations by hand-made tables, and the section by a whole report."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.support.reports import report, write_run
from vaezoo.reporting.score_study import compare_data_sets, correlate_scores, split_variance

MODELS = ["a"] * 4 + ["b"] * 4
SETTINGS = ["a1", "a1", "a2", "a2", "b1", "b1", "b2", "b2"]


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ((3, 0, 0), (1, 0, 0)),
        ((0, 2, 0), (0, 1, 0)),
        ((0, 0, 5), (0, 0, 1)),
        ((1, 2, 3), (1 / 14, 4 / 14, 9 / 14)),  # of an orthogonal design, the squares of the effects
    ],
)
def test_shares_are_those_of_the_effects(effects, expected):
    signs = np.array([[1] * 4 + [-1] * 4, [1, 1, -1, -1] * 2, [1, -1] * 4])
    shares = split_variance(np.array(effects) @ signs, MODELS, SETTINGS)
    assert (shares.model, shares.setting, shares.seed) == pytest.approx(expected)
    assert shares.by_chance == pytest.approx((1 / 7, 2 / 7, 4 / 7))


def test_shares_of_noise_are_those_of_chance():
    rng = np.random.default_rng(0)
    draws = [split_variance(rng.normal(size=8), MODELS, SETTINGS) for _ in range(4000)]
    means = np.mean([(each.model, each.setting, each.seed) for each in draws], axis=0)
    assert means == pytest.approx(draws[0].by_chance, abs=0.01)


def test_seeds_that_cannot_be_told_from_settings_have_no_shares():
    assert split_variance([1, 2, 3], ["a"] * 3, ["1", "2", "3"]) is None
    assert split_variance([1, 1, 1], ["a"] * 3, ["1", "1", "2"]) is None
    assert split_variance([1, np.nan, 2], ["a"] * 3, ["1", "1", "2"]) is None
    assert split_variance([1, np.nan, 2, 3], ["a"] * 4, ["1", "1", "2", "2"]) is not None


def test_a_correlation_is_spearmans_and_its_interval_covers_it():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        x = rng.normal(size=40)
        y = x + rng.normal(size=40)
        rho = correlate_scores(x, y)
        assert rho.value == pytest.approx(stats.spearmanr(x, y).statistic)
        covered += rho.low <= 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2) <= rho.high  # Spearman's of two normal variables
    assert 0.88 <= covered / 200 <= 0.99
    assert np.isnan(correlate_scores([1, 2, 3, 4], [1, 2, 3, 5]).low)
    assert correlate_scores([1, 2, np.nan, 4], [1, 3, 2, 5]).n == 3
    assert np.isnan(correlate_scores([1] * 6, range(6)).value)


def test_the_best_of_one_data_set_on_another():
    found = compare_data_sets([1, 2, 3, np.nan], [0.5, 0.9, 0.1, 7], way=1)
    assert (found.n, found.chosen, found.best, found.middle) == (3, 0.1, 0.9, pytest.approx(0.5))
    assert found.rho == pytest.approx(-0.5)
    lower = compare_data_sets([1, 2, 3], [0.5, 0.9, 0.1], way=-1)
    assert (lower.chosen, lower.best) == (0.5, 0.1)
    assert compare_data_sets([1, 2], [1, 2], way=1) is None


def test_the_section_of_a_report(tmp_path):
    """Beta decides both scores, the seed adds little, and the other data set orders the betas the other way round."""
    root = tmp_path / "study"
    for dataset, order in (("dsprites", 1), ("shapes3d", -1)):
        for i, beta in enumerate([1.0, 4.0, 16.0]):
            for seed in range(2):
                value = 0.5 + 0.1 * order * i + 0.001 * seed
                scores = {"mig_hist": value, "factor_vae": 1 - value - 5 * order}
                write_run(root / f"{dataset}-{i}-{seed}", scores, dataset=dataset, seed=seed, model__beta=beta)
    assert report(f"runs={root}") == 0
    page = (root / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index('id="study"') :]))
    assert "mig_hist dsprites 0% (0%) 100% (40%) 0% (60%)" in text
    assert "mig_hist dsprites shapes3d −1.00 3 0.3005 0.5005 0.4005" in text
    hints = re.findall(r'title="mig_hist, factor_vae: ([^"]+)"', page)
    assert hints == ["−1.00, −1.00 to −1.00; 12 runs"]


def test_few_runs_have_no_such_section(tmp_path):
    for seed in range(3):
        write_run(tmp_path / "study" / f"{seed}", {"mig_hist": 0.1 * seed, "factor_vae": 0.2}, seed=seed)
    assert report(f"runs={tmp_path / 'study'}") == 0
    assert 'id="study"' not in Path(tmp_path / "study" / "report.html").read_text(encoding="utf-8")
