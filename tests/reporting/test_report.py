"""The report: its numbers by closed forms and brute force, its page in a real browser, two runs and two thousand."""

import base64
import csv
import hashlib
import json
import math
import resource
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf
from scipy import stats

import vaezoo.report
from tests.support.browser import open_browser, open_page
from tests.support.reports import report, write_codes, write_run, write_study
from vaezoo.errors import UserError
from vaezoo.reporting.chart_drawing import axis_range, draw_svg, make_plotly_figure
from vaezoo.reporting.charts import (
    Chart,
    Curve,
    Point,
    format_interval,
    make_sweep_chart,
    make_trade_off,
    round_to_interval,
)
from vaezoo.reporting.html_page import write_page
from vaezoo.reporting.matched_traversals import align_traversals, read_traversals
from vaezoo.reporting.reading import read_run, read_runs
from vaezoo.reporting.report_data import collect_report
from vaezoo.reporting.score_selection import select_headline, select_ranked
from vaezoo.reporting.settings import group_settings, list_swept_keys
from vaezoo.reporting.summary import Mean, mean, mean_rank, pareto_front, rank_correlation, ranks
from vaezoo.runs.folder import lock_folder

MODELS = {"betavae": ("beta", [1.0, 4.0, 16.0]), "dipvae": ("lambda_od", [0.0, 5.0, 50.0])}


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


# ---- numbers -----------------------------------------------------------------------------------------------------


def test_an_interval_is_that_of_student():
    values = [0.1, 0.4, 0.2, 0.5]
    summary = mean(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (summary.value - summary.half, summary.value + summary.half) == pytest.approx((low, high))
    assert mean([1.0, 3.0]) == Mean(2.0, pytest.approx(12.7062, abs=1e-4), 2), "tan(0.475 pi), one degree of freedom"
    assert mean([1.0, math.nan, 3.0]).n == 2
    assert math.isnan(mean([2.0]).half)
    assert mean([]).n == 0


def test_an_interval_holds_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3, 2, (4000, 3))
    inside = [abs(summary.value - 3) < summary.half for summary in map(mean, draws.tolist())]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)


def test_equals_share_a_rank_and_what_is_not_known_has_none():
    assert ranks(np.array([0.3, 0.9, 0.3, np.nan]), 1) == pytest.approx([2.5, 1, 2.5, np.nan], nan_ok=True)
    assert ranks(np.array([0.3, 0.9, 0.3, np.nan]), -1) == pytest.approx([1.5, 3, 1.5, np.nan], nan_ok=True)
    columns = [np.array([1.0, 2, np.nan]), np.array([1.0, 2, np.nan])]
    assert mean_rank(columns, [1, -1], 3) == pytest.approx([1.5, 1.5, np.nan], nan_ok=True)
    assert np.isnan(mean_rank([], [], 2)).all()


@pytest.mark.parametrize("directions", [(-1, 1), (1, 1), (-1, -1)])
@pytest.mark.parametrize("levels", [4, 1000])
def test_the_front_is_that_of_all_pairs(directions, levels):
    rng = np.random.default_rng(levels)
    for _ in range(50):
        x, y = rng.integers(0, levels, (2, 25)).astype(float)
        y[3] = np.nan
        a, b = directions[0] * x, directions[1] * y
        beaten = [
            any(a[j] >= a[i] and b[j] >= b[i] and (a[j] > a[i] or b[j] > b[i]) for j in range(25)) for i in range(25)
        ]
        expected = ~np.array(beaten) & np.isfinite(y)
        assert pareto_front(x, y, directions).tolist() == expected.tolist()


def test_a_rank_correlation_is_spearmans():
    x, y = [1.0, 2, 3, 4, math.nan], [1.0, 4, 9, 8, 2]
    assert rank_correlation(x, y) == (pytest.approx(0.8), 4)
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3])[0])
    assert math.isnan(rank_correlation([1, 2], [1, 2])[0])


@pytest.mark.parametrize(
    ("value", "half", "written"),
    [
        (0.12345, 0.0123, "0.123 ± 0.012"),
        (-27.041, 1.23, "−27.0 ± 1.2"),
        (1234.5, 210.0, "1234 ± 210"),
        (0.5, math.nan, "0.5"),
        (0.5, 0.0, "0.5"),
        (0.25, 3e-17, "0.25"),
        (0.25, 3e-8, "0.250000 ± 3e-08"),
        (0.01, 5.2e-6, "0.010000 ± 0.000005"),
        (math.nan, math.nan, ""),
    ],
)
def test_a_mean_has_the_digits_that_its_interval_allows(value, half, written):
    assert format_interval(Mean(value, half, 2)) == written
    assert round_to_interval(value, half)[0] == written.partition(" ")[0]


# ---- which scores are columns, and which are ranked --------------------------------------------------------------


def test_silence_wins_no_rank():
    names = [
        "elbo",
        "rec",
        "kl",
        "correlation",
        "recon_mse",
        "recon_sse",
        "mig_hist",
        "mig_hist/sd",
        "mig_hist_continuous",
    ]
    assert select_headline(names, {}) == ["mig_hist", "elbo", "recon_mse", "correlation"]
    assert select_ranked(select_headline(names, {}), recorded={}, named_by_user=False) == [
        "mig_hist",
        "elbo",
        "recon_mse",
    ]
    assert select_ranked(["mig_hist", "udr_lasso"], recorded={}, named_by_user=False) == ["mig_hist"]
    assert select_ranked(["correlation", "kl"], recorded={}, named_by_user=True) == ["correlation"]


# ---- reading -----------------------------------------------------------------------------------------------------


def test_settings_are_told_apart_by_what_the_model_does_not_bring_along(tmp_path):
    """kind and lr follow from the model, where the weights do not; logger and folder say nothing."""
    for seed in (0, 1):
        for beta in (1, 4):
            write_run(tmp_path / f"b{beta}{seed}", {"elbo": -1.0}, seed=seed, model__beta=beta, optimizer__lr=1e-3)
        write_run(
            tmp_path / f"d{seed}", {"elbo": -1.0}, model="dipvae", seed=seed, model__kind="ii", optimizer__lr=1e-4
        )
    table = read_runs([tmp_path])
    assert list_swept_keys(table) == ["model", "model.beta"]
    groups = group_settings(table, list_swept_keys(table))
    assert [group.label for group in groups] == ["betavae beta=1", "betavae beta=4", "dipvae"]
    assert [len(group.counted) for group in groups] == [2, 2, 2]


def test_the_newest_run_of_a_seed_counts(tmp_path):
    for name, day, value in (("a", "2026-01-02", 2.0), ("b", "2026-01-01", 1.0)):
        write_run(tmp_path / name, {"elbo": value}, environment={"started": day})
    write_run(tmp_path / "c", {"elbo": 9.0}, error="ValueError: made up", environment={"started": "2026-01-03"})
    (group,) = group_settings(read_runs([tmp_path]), [])
    assert group.scores("elbo") == [2.0]
    assert len(group.runs) == 3


def test_states_and_what_cannot_be_read(tmp_path):
    write_run(tmp_path / "good", {"elbo": -1.0, "mig_hist": float("nan")})
    write_run(tmp_path / "bad", None, error="ValueError: made up")
    write_run(tmp_path / "stopped", None, error="interrupted by SIGTERM")
    write_run(tmp_path / "killed", None)
    write_run(tmp_path / "running", {"elbo": -3.0})
    (write_run(tmp_path / "torn", {}) / "metrics.json").write_text('{"scores": ')
    (tmp_path / "study.json").write_text(json.dumps({"jobs": [{"folder": "good"}, {"folder": "later"}]}))
    with lock_folder(tmp_path / "running"):
        by_name = {run.folder.name: run for run in read_runs([tmp_path])}
    states = {name: run.state for name, run in by_name.items()}
    assert states == {
        "good": "finished",
        "bad": "failed",
        "stopped": "stopped",
        "killed": "stopped",
        "running": "running",
        "torn": "failed",
        "later": "not begun",
    }
    assert by_name["bad"].error == "ValueError: made up"
    assert "metrics.json cannot be read" in by_name["torn"].error
    assert math.isnan(by_name["good"].scores["mig_hist"])
    with pytest.raises(UserError, match="no run folder in it or below it"):
        read_runs([tmp_path / "good" / ".hydra"])


def test_numbers_are_read_as_the_command_line_reads_them(tmp_path):
    folder = write_run(tmp_path / "a", {})
    path = folder / ".hydra" / "config.yaml"
    path.write_text(path.read_text() + "optimizer: {lr: 1e-3, eps: 1.0e-08, name: '1e-3'}\n")
    config = read_run(folder).config
    assert (config["optimizer.lr"], config["optimizer.eps"], config["optimizer.name"]) == (1e-3, 1e-8, "1e-3")


# ---- charts ------------------------------------------------------------------------------------------------------


def test_curves_join_the_settings_of_a_model_along_its_weight(tmp_path):
    write_study(tmp_path, MODELS, seeds=3)
    table = read_runs([tmp_path])
    groups = group_settings(table, list_swept_keys(table))
    chart = make_trade_off(groups, "recon_mse", "mig_hist", {})
    assert [curve.model for curve in chart.curves] == ["betavae", "dipvae"]
    assert [[point.label for point in curve.points] for curve in chart.curves] == [["1", "4", "16"], ["0", "5", "50"]]
    first = mean(groups[0].scores("recon_mse"))
    assert (chart.curves[0].points[0].x, chart.curves[0].points[0].x_half) == (first.value, first.half)
    assert [point.x for point in chart.on_front] == sorted(point.x for point in chart.on_front)
    along = make_sweep_chart(groups, "model.lambda_od", "mig_hist", {})
    places = [point.x for point in along.curves[0].points]
    assert places[1:] == pytest.approx([np.log10(5), np.log10(50)])
    assert places[0] == pytest.approx(np.log10(5) - 1), "zero stands one step before"
    assert [text for _, text in along.ticks] == ["0", "5", "50"]
    low, high = axis_range(chart, "x")
    assert low < min(point.x - point.x_half for point in chart.points) < high
    wide = Chart("", "", [Curve("vae", [Point(0, 0, math.nan, 9, "", "", ""), Point(1, 1, math.nan, 9, "", "", "")])])
    assert axis_range(wide, "y") == pytest.approx([-1 - 0.18, 2 + 0.18]), "an interval ends at the frame"
    assert draw_svg(chart, ["betavae", "dipvae"]) == draw_svg(chart, ["betavae", "dipvae"])


def test_two_seeds_are_drawn_as_their_runs_and_not_as_an_interval(tmp_path):
    """Student's interval of two seeds is 12.7 standard errors to each side, so its bar would cross the chart."""
    write_study(tmp_path, MODELS, seeds=2)
    table = read_runs([tmp_path])
    groups = group_settings(table, list_swept_keys(table))
    for chart in (
        make_trade_off(groups, "recon_mse", "mig_hist", {}),
        make_sweep_chart(groups, "model.beta", "elbo", {}),
    ):
        assert all(np.isnan([point.x_half, point.y_half]).all() for point in chart.points)
        assert all(len(point.runs) == point.seeds == 2 and "± " in point.hover for point in chart.points)
        assert all(np.mean(point.runs, axis=0) == pytest.approx((point.x, point.y)) for point in chart.points)
        figure = make_plotly_figure(chart, ["betavae", "dipvae"])
        assert not any("error_x" in trace or "error_y" in trace for trace in figure["data"])
        for axis in (0, 1):
            low, high = axis_range(chart, "xy"[axis])
            assert all(low < run[axis] < high for point in chart.points for run in point.runs)


# ---- traversals --------------------------------------------------------------------------------------------------


def test_rows_are_matched_through_a_permutation_and_signs(tmp_path):
    """The second run has one latent more, encodes fewer images, and says the same in another order and direction."""
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(400, 4))
    order, signs = np.array([2, 0, 3, 1]), np.array([1, -1, -1, 1])
    rows = np.sort(rng.choice(400, 300, replace=False))
    other = np.hstack([(codes * signs)[:, order] + 0.1 * rng.normal(size=(400, 4)), rng.normal(size=(400, 1))])[rows]
    write_codes(write_run(tmp_path / "a", {"elbo": 1.0}), codes)
    write_codes(write_run(tmp_path / "b", {"elbo": 0.0}), other, rows)
    first, second = (read_traversals(tmp_path / name) for name in "ab")
    lines, unmatched = align_traversals([first, second])
    assert [line[1].place for line in lines] == np.argsort(order).tolist()
    assert [line[1].is_reversed for line in lines] == (signs < 0).tolist()
    assert all(abs(line[1].r) > 0.98 for line in lines)
    assert unmatched == [[], [4]]


def test_what_says_nothing_matches_nothing(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(200, 3))
    dead = codes.copy()
    dead[:, 1] = 0.25
    write_codes(write_run(tmp_path / "a", {}), codes)
    write_codes(write_run(tmp_path / "b", {}), dead)
    write_codes(write_run(tmp_path / "c", {}, about={"dataset": "circles"}), codes)
    lines, unmatched = align_traversals([read_traversals(tmp_path / name) for name in "abc"])
    assert [line[1] is None for line in lines] == [False, True, False]
    assert all(line[2] is None for line in lines), "codes of other data do not compare"
    assert unmatched == [[], [1], [0, 1, 2]]


# ---- the command -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Two models, three weights, three seeds, a failed run, one of another commit, codes for the pictures."""
    root = tmp_path_factory.mktemp("multirun") / "study"
    folders = write_study(root, MODELS, seeds=3)
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(300, 4))
    for i, folder in enumerate(folders):
        write_codes(folder, np.roll(codes, i % 4, axis=1))
        made = {
            "started": "2026-01-01",
            "git": {"commit": str(i // 17) * 40, "changed": False},
            "packages": {"torch": "1"},
        }
        (folder / "environment.json").write_text(json.dumps(made))
    write_run(root / "betavae_lr-1e30", None, error="ValueError: <loss> is not finite", model__beta=4.0)
    write_run(
        root / "dipvae_no-mig",
        {"elbo": -1.0},
        model="dipvae",
        seed=7,
        model__lambda_od=5.0,
        skipped={"mig_hist": "no factors"},
    )
    assert report(f"runs={root}") == 0
    return root


def test_a_score_at_its_floor_is_marked(tmp_path):
    floor = {"noise": 0.21, "spread": 0.02, "constant": "nan"}
    for beta, value in ((1, 0.5), (4, 0.22)):
        for seed in (0, 1):
            floors = {"mig_hist": {**floor, "reached": beta == 4 or seed == 0}}
            write_run(tmp_path / f"{beta}_{seed}", {"mig_hist": value}, seed=seed, floors=floors, model__beta=beta)
    assert report(f"runs={tmp_path}") == 0
    page = (tmp_path / "report.html").read_text()
    assert "higher is better; noise: 0.21" in page
    assert "constant codes: nan" not in page
    assert page.count("<small>(floor)</small>") == 1 + 3  # a setting of the leaderboard, and runs


def test_the_page_is_whole_without_scripts(study):
    page = (study / "report.html").read_text()
    assert "ValueError: &lt;loss&gt; is not finite" in page
    assert "no factors" in page
    assert "111111111111 <small>(1 run)" in page, "two commits"
    assert page.count('src="data:image/svg+xml') == 3 + 2 * 4, "each chart has its still"
    assert page.count("traversal of z0") == 4
    rows = table(study / "report.csv")
    assert len(rows) == 20
    run = next(row for row in rows if row["run"] == "betavae_beta-4_seed-1")
    scores = json.loads((study / run["run"] / "metrics.json").read_text())["scores"]
    assert float(run["mig_hist"]) == scores["eval/mig_hist"], "full precision"
    assert 'href="betavae_beta-4_seed-1/"' in page
    groups = table(study / "report_settings.csv")
    assert len(groups) == 6
    four = next(row for row in groups if row["model.beta"] == "4.0")
    values = [float(row["mig_hist"]) for row in rows if row["model.beta"] == "4.0" and row["mig_hist"]]
    assert float(four["mig_hist"]) == pytest.approx(np.mean(values))
    assert float(four["mig_hist/half"]) == pytest.approx(stats.t.ppf(0.975, 2) * stats.sem(values))
    assert (four["seeds"], four["mig_hist/n"]) == ("3", "3")
    five = next(row for row in groups if row["model.lambda_od"] == "5.0")
    assert (five["seeds"], five["mig_hist/n"], five["elbo/n"]) == ("4", "3", "4")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["scores=[mig_hst]"], "none of the runs has a score called mig_hst. Did you mean 'mig_hist'?"),
        (["traversals=[nowhere]"], "there is no run folder called nowhere"),
        (["pictures=-1"], "pictures=-1: must be a whole number of at least 0"),
        (["y=mig_hist"], "y=mig_hist: must be a list of names"),
        (["runs=[gone]"], "a file or folder that exists"),
        (["out=x.csv"], "out=x.csv: must be the file of a page"),
        (["out=."], "out=.: must be the file of a page"),
    ],
)
def test_a_slip_is_told(study, line, message, capsys):
    assert report(f"runs={study}", *line) == 2 if "runs" not in line[0] else report(*line) == 2
    assert message in capsys.readouterr().err


def test_what_is_shown_can_be_chosen(study, tmp_path):
    out = tmp_path / "chosen.html"
    folders = "[dipvae_lambda_od-5_seed-0,betavae_beta-1_seed-2]"
    line = [
        f"runs=[{study}]",
        "scores=[correlation,kl]",
        "x=kl",
        "y=[sap_continuous]",
        f"traversals={folders}",
        f"out={out}",
    ]
    assert report(*line) == 0
    page = out.read_text()
    assert page.count("traversal of z0") == 2
    assert page.index("dipvae lambda_od=5</a>, seed 0") < page.index("betavae beta=1</a>, seed 2")
    assert "sap_continuous ↑ against kl" in page
    assert list(table(tmp_path / "chosen_settings.csv")[0])[5:] == [
        f"{name}{part}" for name in ("correlation", "kl") for part in ("", "/half", "/n")
    ]


def test_the_page_in_a_real_browser(study, tmp_path):
    with open_browser() as chrome:
        page, troubles = open_page(chrome, study / "report.html", 1300)

        column = "#leaderboard tbody tr:not([hidden]) td:nth-child({})"
        heads = page.locator("#leaderboard thead th").all_inner_texts()
        place = next(i for i, head in enumerate(heads, 1) if head.startswith("mig_hist"))

        def values() -> list[float]:
            cells = page.locator(column.format(place))
            return [float(cells.nth(i).get_attribute("data-v")) for i in range(cells.count())]

        button = page.locator(f"#leaderboard thead th:nth-child({place}) button")
        button.focus()
        page.keyboard.press("Enter")
        assert values() == sorted(values(), reverse=True), "the best first"
        assert page.locator("#leaderboard th[aria-sort=descending]").count() == 1
        button.click()
        assert values() == sorted(values())
        assert len(set(values())) == 6

        controls = page.locator("form[data-table=leaderboard]")
        controls.locator("input").fill("dipvae 50")
        assert page.locator(column.format(2)).all_inner_texts() == ["dipvae"]
        assert controls.locator("output").inner_text() == "1 of 6 shown"
        controls.locator("button").click()
        controls.locator("select").first.select_option("=betavae")
        assert page.locator(column.format(2)).all_inner_texts() == ["betavae"] * 3

        chart = page.locator(".chart").first
        chart.scroll_into_view_if_needed()
        chart.locator(".scatterlayer .point").first.wait_for()
        point = chart.locator(".scatterlayer .trace").last.locator(".point").first.bounding_box()
        page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
        page.wait_for_function("document.querySelector('.chart .hoverlayer').textContent.includes('dipvae')")
        assert "3 seeds" in chart.locator(".hoverlayer").text_content()

        page.set_viewport_size({"width": 400, "height": 800})
        fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        page.wait_for_function(fits, timeout=5000)  # a narrow window scrolls tables, not the page
        page.emulate_media(media="print")
        assert not page.locator(".chart").first.is_visible()
        assert page.locator(".chart + img").first.is_visible()
        page.emulate_media(media="screen")
        page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
        assert (tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n") > 1
        assert troubles == []

        plain = chrome.new_context(java_script_enabled=False).new_page()
        plain.goto((study / "report.html").as_uri())
        assert plain.locator(".chart + img").first.is_visible()
        assert not plain.locator("form.controls").first.is_visible()


def test_plotly_knows_every_option_of_the_charts(study, tmp_path):
    """Plotly itself checks the charts of a study with three seeds and of one with two."""
    write_study(tmp_path, MODELS, seeds=2)
    assert report(f"runs={tmp_path}") == 0
    with open_browser() as chrome:
        for folder in (study, tmp_path):
            page = chrome.new_page()
            page.goto((folder / "report.html").as_uri())
            charts = [json.loads(text) for text in page.locator("figure > script").all_text_contents()]
            assert len(charts) == 3 + 2 * 4
            assert {trace.get("type", "scatter") for chart in charts for trace in chart["data"]} == {"scatter"}
            validate = "({data, layout}) => Plotly.validate(data, layout)?.map(({msg}) => msg)"
            assert [message for chart in charts for message in page.evaluate(validate, chart) or []] == []
            charts[0]["data"][0]["colour"] = "red"
            assert "colour" in page.evaluate(validate, charts[0])[0], "plotly refuses what it does not know"


# ---- what comes from somebody else -------------------------------------------------------------------------------


def test_one_bad_folder_does_not_stop_the_report_of_all(tmp_path):
    """Each is listed with its reason, and reads nothing outside of its folder."""
    secret = tmp_path / "secret.txt"
    secret.write_text("hush\n")
    root = tmp_path / "runs"
    write_run(root / "good", {"recon_mse": 0.1})
    deep = "[" * 100_000
    files = {
        "deep": ("metrics.json", deep),
        "text": ("metrics.json", '{"scores": {"eval/a": "many"}}'),
        "list": ("done.json", "[1]"),
        "aliases": (".hydra/config.yaml", "folder: x\na: &a [1]\nb: [*a, *a]\n"),
        "month": (".hydra/config.yaml", "folder: x\nday: 2026-13-45\n"),
        "reference": (".hydra/config.yaml", "folder: x\nseed: ${oc.env:HOME}\n"),
        "link": ("error.txt", secret),
        "linked": ("metrics.json", secret),
    }
    for name, (file, content) in files.items():
        path = write_run(root / name, {"recon_mse": 0.1}) / file
        path.unlink(missing_ok=True)
        path.symlink_to(content) if isinstance(content, Path) else path.write_text(content)
    (root / "link" / "done.json").unlink(missing_ok=True)  # A finished run has no reason to show.
    write_run(root / "seeds", {"recon_mse": 0.1}, seed=[1, {"a": 2}], dataset__seed=0)
    (root / "study.json").write_text(json.dumps({"jobs": [{"folder": "../secret.txt"}, {"folder": "x" * 4000}]}))
    (root / "good" / "study.json").write_text("{")
    assert report(f"runs={root}") == 0
    rows = {Path(row["run"]).name: row for row in table(root / "report.csv")}
    assert {name for name in rows if len(name) < 100} == {"good", "seeds", *files}
    assert {name for name in files if not rows[name]["error"]} == set()
    assert all(rows[name]["state"] == "finished" for name in ("good", "seeds"))
    assert "hush" not in (root / "report.html").read_text() + (root / "report.csv").read_text()


def test_pictures_are_embedded_as_pixels_alone(tmp_path, capsys):
    folder = write_run(tmp_path / "a", {"recon_mse": 0.1})
    (folder / "figures").mkdir()
    (tmp_path / "key").write_text("PRIVATE KEY" * 20)
    (folder / "figures" / "samples.png").symlink_to(tmp_path / "key")
    (folder / "figures" / "curves.png").write_text("PRIVATE KEY" * 20)
    assert report(f"runs={folder}") == 0
    page = (folder / "report.html").read_text()
    assert base64.b64encode(b"PRIVATE KEY").decode()[:12] not in page
    assert "samples.png is a link to" in page
    assert "curves.png is no picture" in page


def test_cells_are_no_formulas_and_lines_hold_no_control_characters(tmp_path):
    text = "a\x1b[31m\x07\u202eb"
    for name, value in {"one": "=HYPERLINK(1)", "two": "@SUM(1)", "three": f" +{text}"}.items():
        write_run(tmp_path / name, {text: 0.1}, more=value, error=f"-1+1 {text}")
    write_run(tmp_path / "four", {text: -0.1}, more=-4)
    assert report(f"runs={tmp_path}") == 0
    content = (tmp_path / "report.csv").read_text()
    rows = {row["run"]: row for row in table(tmp_path / "report.csv")}
    assert rows["one"]["more"] == "'=HYPERLINK(1)"
    assert rows["two"]["more"] == "'@SUM(1)"
    assert rows["four"]["more"] == "-4"
    assert all(row["error"].startswith("'-1+1") for row in rows.values() if row["error"])
    assert not set("\x1b\x07\u202e") & set(content + (tmp_path / "report.html").read_text())


def test_the_page_runs_its_own_scripts_alone(tmp_path):
    assert report(f"runs={write_run(tmp_path / 'a', {'recon_mse': 0.1})}") == 0
    page = Elements((tmp_path / "a" / "report.html").read_text())
    policy = next(attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes)
    script = (Path(vaezoo.report.__file__).parent / "reporting" / "templates" / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")


# ---- texts of run folders ----------------------------------------------------------------------------------------

# Markup of HTML, of plotly, of Jinja and of matplotlib; the second fits into the name of a folder and of a main score.
HOSTILE = """</script><script>attacked=1</script><img src=x onerror=attacked=1>"'&amp;{{ 7 * 7 }}$\\frac$<b>"""
HOSTILE_NAME = HOSTILE.partition("</script>")[2].replace("/", "")


class Elements(HTMLParser):
    """The elements and the texts of a page as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory) -> Path:
    """Return the page of a study with markup wherever a run folder has a text."""
    root = tmp_path_factory.mktemp("multirun") / f"study {HOSTILE_NAME}"
    for beta in (1, 2, 3):
        for seed in (f"0 {HOSTILE}", f"1 {HOSTILE}"):
            score = beta + int(seed[0]) / 7
            folder = write_run(
                root / f"beta {beta} seed {seed[0]} {HOSTILE_NAME}",
                {
                    f"mig_{HOSTILE_NAME}": score,
                    f"recon_{HOSTILE_NAME}": score,
                    f"score {HOSTILE}": score,
                    "recon_mse": score,
                    "udr_lasso": -score,
                },
                seed=seed,
                about={"dataset": f"data set {HOSTILE}", "data": {"origin": f"origin {seed}"}},
                environment={
                    "started": f"2026 {HOSTILE}",
                    "git": {"commit": seed},
                    "device": f"device {seed}",
                    "packages": {f"package {HOSTILE}": f"version {seed}"},
                },
                skipped={f"metric {HOSTILE}": f"reason {HOSTILE}"},
                protocols={f"protocol {HOSTILE}": {f"key {HOSTILE}": f"value {seed}"}},
                model___target_=f"theirs.model {HOSTILE}",
                dataset__name=f"squares {HOSTILE}",
                optimizer__name=f"optimizer {beta % 2} {HOSTILE}",
                **{f"model__{HOSTILE_NAME}": beta},
            )
            write_codes(folder, np.random.default_rng(0).normal(size=(50, 2)))
    (folder / "figures" / "traversals.npz").write_text(HOSTILE)
    write_run(root / "failed", None, error=f"ValueError: {HOSTILE}")
    (write_run(root / f"torn {HOSTILE_NAME}", {}) / "metrics.json").write_text(json.dumps({"scores": {"a": HOSTILE}}))
    names = [folder.name, folder.name.replace("seed 1", "seed 0"), "failed"]
    scores = [f"mig_{HOSTILE_NAME}", f"recon_{HOSTILE_NAME}", "recon_mse", "udr_lasso", f"score {HOSTILE}"]
    config = {"udr": False, "scores": scores, "x": None, "y": None, "traversals": names}
    out = root / "report.html"
    out.write_text(write_page(collect_report(OmegaConf.create(config), [root], root)))
    return out


def test_texts_of_run_folders_are_no_markup(hostile_page):
    page = Elements(hostile_page.read_text())
    names = [tag for tag, _ in page.elements]
    charts = [json.loads(text) for text in page.texts if text.startswith('{"data":')]
    assert len(charts) == names.count("figure") > 5
    assert names.count("script") == len(charts) + 2
    assert [attributes for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    assert all(attributes["src"].startswith("data:") for tag, attributes in page.elements if tag == "img")
    text = "".join(page.texts)
    for place in (
        *("score", "squares", "metric", "reason", "package", "model", "optimizer 0", "optimizer 1"),
        *("ValueError:", "protocol of protocol", "seed 0", "device 0", "version 1"),
    ):
        assert f"{place} {HOSTILE}" in text, place
    for place in ("study ", "torn ", "mig_", "recon_", "model."):
        assert f"{place}{HOSTILE_NAME}" in text, place
    assert f"{HOSTILE_NAME}: its traversals cannot be read" in text
    in_charts = json.dumps(charts)
    assert "&lt;script&gt;" in in_charts
    assert "<script" not in in_charts
    assert "<img" not in in_charts


def test_texts_of_run_folders_run_nowhere_in_a_real_browser(hostile_page):
    with open_browser() as chrome:
        page, messages = open_page(chrome, hostile_page, 1300)
        chart = page.locator(".chart").first
        chart.scroll_into_view_if_needed()
        point = chart.locator(".scatterlayer .trace").last.locator(".point").first
        point.wait_for()
        point.hover(force=True)
        hover = chart.locator(".hoverlayer .hovertext")
        hover.wait_for()
        assert HOSTILE in hover.text_content()
        assert page.evaluate("typeof attacked") == "undefined"
        assert page.locator("img[src=x]").count() == 0
        # Plotly takes dollar signs for a formula and would leave it to MathJax, which the page does not load.
        assert [message for message in messages if "MathJax" not in message] == []


@pytest.mark.slow
def test_two_thousand_runs(tmp_path):
    """Time and memory of docs/report.md, with configurations and environments as large as real ones."""
    values = np.geomspace(0.1, 1000, 100).round(3).tolist()
    folders = write_study(tmp_path, dict.fromkeys(("betavae", "betatcvae", "dipvae", "infovae"), ("beta", values)), 5)
    assert len(folders) == 2000
    filler = {f"section{i}": {f"key{j}": j / 7 for j in range(10)} for i in range(20)}
    packages = {f"package-{i}": f"1.{i}" for i in range(100)}
    for folder in folders:
        path = folder / ".hydra" / "config.yaml"
        path.write_text(path.read_text() + yaml.dump(filler))
        (folder / "environment.json").write_text(json.dumps({"packages": packages, "device": "cpu"}))
    write_codes(folders[0], np.random.default_rng(0).normal(size=(100, 4)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    assert report(f"runs={tmp_path}") == 0
    seconds, grown = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    large = (tmp_path / "report.html").stat().st_size
    print(f"{seconds:.1f} s, {grown / 1024:.0f} MiB more, page {large / 2**20:.1f} MiB")
    assert len(table(tmp_path / "report.csv")) == 2000
    assert large < 20 * 2**20
    assert seconds < 120
