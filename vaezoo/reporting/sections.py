"""The sections of the page: every function returns plain data for the template of its section, None without any."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vaezoo.errors import UserError
from vaezoo.reporting.chart_drawing import draw_svg, make_plotly_figure, style_of
from vaezoo.reporting.charts import (
    MIN_SEEDS,
    Chart,
    list_number_keys,
    make_run_chart,
    make_sweep_chart,
    make_trade_off,
    use_minus,
)
from vaezoo.reporting.html_tables import (
    Cell,
    Column,
    Row,
    Table,
    find_sliders,
    make_leaderboard,
    make_link,
    make_runs_table,
    make_state_cell,
)
from vaezoo.reporting.matched_traversals import (
    MIN_CORRELATION,
    Match,
    Traversals,
    align_traversals,
    make_data_url,
    make_picture,
    read_traversals,
    rewrite_png,
)
from vaezoo.reporting.reading import FAILED, FINISHED, NEW, RUNNING, STOPPED, Run
from vaezoo.reporting.report_data import Report
from vaezoo.reporting.settings import SEED, format_value
from vaezoo.reporting.study_section import describe_study
from vaezoo.reporting.summary import CONFIDENCE, rank_correlation
from vaezoo.runs.limits import read_bytes

Data = dict[str, Any]

UDR = ("udr_lasso", "udr_spearman", "udr_lasso_a2a")
MAX_UDR_CHARTS = 2  # of the scores above, for each supervised score
PICTURES = ("reconstructions", "samples", "curves")
STATES = (FAILED, STOPPED, RUNNING, NEW)  # of runs that are not finished, in the order of the page
MAX_VALUES = 8  # of one difference


def describe_header(report: Report) -> Data:
    """Return the title, the numbers of runs by state, and what was trained on what and when."""
    states = Counter(run.state for run in report.runs)
    seeds = {str(run.config[SEED]) for run in report.runs if SEED in run.config}
    facts = [("runs", len(report.runs)), *((state, states[state]) for state in (FINISHED, *STATES) if states[state])]
    facts += [("settings", len(report.settings)), ("seeds", len(seeds))]
    names = [
        join_words(sorted({format_value(run.config[key]) for run in report.runs if run.config.get(key)}))
        for key in ("model", "dataset")
    ]
    days = sorted({run.started[:10] for run in report.runs if run.started})
    return {
        "title": report.title,
        "facts": [{"name": name, "count": count, "bad": name in (FAILED, STOPPED)} for name, count in facts],
        "lead": " on ".join(filter(None, names)),
        "days": " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "",
    }


def join_words(words: Sequence[str]) -> str:
    """Return a list such as "a, b and c"."""
    return ", ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


# ---- scores ------------------------------------------------------------------------------------------------------


def describe_leaderboard(report: Report) -> Data:
    """Return the leaderboard; its table has no rows if no run is finished."""
    return {"table": make_leaderboard(report), "ranked": report.ranked, "confidence": f"{CONFIDENCE:.0%}"}


def describe_trade_off(report: Report) -> Data | None:
    """Return a chart of each drawn score against reconstruction."""
    group = report.counted_settings
    charts = [make_trade_off(group, report.x, y, report.recorded) for y in report.y] if report.x else []
    described = describe_charts(report, charts)
    return {**describe_points(report, charts), "groups": [{"charts": described}]} if described else None


def describe_sweeps(report: Report) -> Data | None:
    """Return for each swept number a chart of each drawn score along it."""
    group = report.counted_settings
    names = [name for name in [*report.y, report.x] if name]
    charts_by_key = {}
    for key in list_number_keys(group):
        charts = [make_sweep_chart(group, key, name, report.recorded) for name in names]
        charts_by_key[key] = [chart for chart in charts if any(len(curve.points) > 1 for curve in chart.curves)]
    groups = [
        {"heading": key, "charts": describe_charts(report, charts)} for key, charts in charts_by_key.items() if charts
    ]
    return {**describe_points(report, chain(*charts_by_key.values())), "groups": groups} if groups else None


def describe_udr(report: Report) -> Data | None:
    """Return charts and rank correlations of UDR and each drawn score, over the runs that have both."""
    finished = [run for run in report.runs if run.state == FINISHED]
    udr_scores = [name for name in UDR if any(name in run.scores for run in finished)]
    if not udr_scores:
        return None
    charts, notes, rows = [], [], []
    for x in udr_scores[:MAX_UDR_CHARTS]:
        for y in report.y:
            runs = [run for run in finished if x in run.scores and y in run.scores]
            if y.startswith("udr") or len(runs) < 3:
                continue
            rho, count = rank_correlation([run.scores[x] for run in runs], [run.scores[y] for run in runs])
            text = use_minus(f"{round(rho, 2) + 0.0:.2f}") if np.isfinite(rho) else "not defined"
            charts.append(make_run_chart(runs, report.settings_by_folder, x, y, report.recorded))
            notes.append(f"Spearman’s ρ = {text} over {count} runs")
            rows.append({"udr": x, "score": y, "rho": text, "runs": count})
    groups = [{"charts": described}] if (described := describe_charts(report, charts, notes)) else []
    return {**describe_points(report, charts), "groups": groups, "rows": rows}


def describe_charts(report: Report, charts: Iterable[Chart], notes: Sequence[str] = ()) -> list[Data]:
    """Return each chart that has points, for a browser and as a still picture."""
    models = report.models
    labels = {setting.id: setting.label for setting in report.settings}
    return [
        {
            "title": chart.y_label,
            "alt": f"{chart.y_label} against {chart.x_label}",
            "figure": make_plotly_figure(chart, models),
            "still": make_data_url(draw_svg(chart, models), "svg+xml"),
            "front": [{"anchor": point.anchor, "label": labels[point.anchor]} for point in chart.on_front],
            "note": notes[i] if notes else "",
        }
        for i, chart in enumerate(charts)
        if chart.curves
    ]


def describe_points(report: Report, charts: Iterable[Chart]) -> Data:
    """Return the legend, and how many seeds the points of the charts stand for."""
    counts = sorted({point.seeds for chart in charts for point in chart.points})
    return {
        "legend": [{"model": model, "style": style_of(report.models, model)} for model in report.models],
        "seeds": " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1]))) if counts else "",
        "has_intervals": any(count >= MIN_SEEDS for count in counts),
        "has_pairs": 2 in counts,
    }


# ---- pictures ----------------------------------------------------------------------------------------------------


def describe_latents(report: Report) -> Data | None:
    """Return the traversals of the pictured runs side by side, and their other pictures."""
    runs, traversals, damages = [], [], []
    for run in report.pictured:
        try:
            if (content := read_traversals(run.folder)) is not None:
                runs.append(describe_run(report, run))
                traversals.append(content)
        except UserError as damage:
            damages.append(str(damage))
    galleries = []
    for run in report.pictured:
        pictures = []
        for name in PICTURES:
            try:
                pictures += embed_figure(run.folder, name)
            except UserError as damage:
                damages.append(str(damage))
        if pictures:
            galleries.append({"run": describe_run(report, run), "pictures": pictures})
    if not (runs or damages or galleries):
        return None
    return {
        "runs": runs,
        **describe_traversals(traversals),
        "damages": damages,
        "galleries": galleries,
        "min_correlation": MIN_CORRELATION,
    }


def describe_run(report: Report, run: Run) -> Data:
    """Return a link to a run that is named by its setting, and its seed."""
    setting = report.settings_by_folder.get(run.folder)
    link = make_link(report, run.folder, setting.label if setting else run.folder.name)
    return {"link": link, "seed": run.config.get(SEED)}


def describe_traversals(traversals: Sequence[Traversals]) -> Data:
    """Return the original images, the aligned lines, and the lines of latents without a counterpart."""
    if not traversals:
        return {"originals": [], "lines": [], "unmatched": []}
    lines, unmatched = align_traversals(traversals)
    depth = max(map(len, unmatched))
    columns = [[Match(place, np.nan) for place in places] + [None] * (depth - len(places)) for places in unmatched]

    def describe(matches: Iterable[Match | None]) -> list[Data | None]:
        pairs = zip(traversals, matches, strict=True)
        return [describe_traversal(content, match) if match else None for content, match in pairs]

    return {
        "originals": [make_picture(content.original[None]) for content in traversals],
        "lines": [describe(line) for line in lines],
        "unmatched": [describe(line) for line in zip(*columns, strict=True)],
    }


def describe_traversal(traversals: Traversals, match: Match) -> Data:
    """Return the picture of one moved latent and the facts about it."""
    images = traversals.images[match.place]
    facts = [f"z{traversals.dims[match.place]}"]
    if np.isfinite(traversals.kl[match.place]):
        facts.append(f"{traversals.kl[match.place]:.2f} nats")
    if np.isfinite(match.r):
        facts.append(f"r {use_minus(f'{match.r:.2f}')}{' ⇄' if match.is_reversed else ''}")
    return {"picture": make_picture(images[::-1] if match.is_reversed else images), "facts": " · ".join(facts)}


def embed_figure(folder: Path, name: str) -> list[Data]:
    """Return a figure of a run as a data URL in a list, which is empty where the run has none of this name."""
    path = folder / "figures" / f"{name}.png"
    content = read_bytes(folder, path.relative_to(folder))
    return [] if content is None else [{"alt": name, "source": make_data_url(rewrite_png(content, path), "png")}]


# ---- runs --------------------------------------------------------------------------------------------------------


def describe_troubles(report: Report) -> Data | None:
    """Return the runs that are not finished and the scores that were skipped, each with its reason."""
    unfinished = sorted(
        (run for run in report.runs if run.state != FINISHED),
        key=lambda run: (STATES.index(run.state), str(run.folder)),
    )
    rows = [
        Row(
            [
                Cell(links=(make_link(report, run.folder),), style="l"),
                make_state_cell(run),
                Cell(run.error, style="wrap"),
            ]
        )
        for run in unfinished
    ]
    failures = Table("failures", [Column(name, style="l") for name in ("run", "state", "why")], rows, [1])
    skipped = list_skipped_scores(report.runs)
    return {"failures": failures, "skipped": skipped} if rows or skipped else None


def list_skipped_scores(runs: Iterable[Run]) -> list[Data]:
    """Return the reasons for skipped scores; scores that the same models skip for the same reason are together."""
    runs_by_reason: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        for metric, reason in run.skipped.items():
            runs_by_reason.setdefault((reason, metric), []).append(run)
    metrics: dict[tuple[str, int, str], list[str]] = {}
    for (reason, metric), skipping in runs_by_reason.items():
        models = join_words(sorted({format_value(run.config.get("model")) for run in skipping}))
        metrics.setdefault((reason, len(skipping), models), []).append(metric)
    return [
        {"scores": ", ".join(names), "runs": count, "models": models, "reason": reason}
        for (reason, count, models), names in metrics.items()
    ]


def describe_differences(report: Report) -> Data | None:
    """Return what should be equal in all scored runs and is not, and the number of repeated runs."""
    scored = [run for run in report.runs if run.scores]
    made = [run for run in scored if run.environment]
    keys = dict.fromkeys(key for run in made for key in run.environment)
    metrics = dict.fromkeys(metric for run in scored for metric in run.protocols)
    values = {key: [run.environment[key] for run in made if key in run.environment] for key in keys}
    values["data"] = [run.data for run in scored]
    values |= {
        f"protocol of {name}": [run.protocols[name] for run in scored if name in run.protocols] for name in metrics
    }
    partial = [key for key in keys if len(values[key]) < len(made)]
    repeated = sum(
        sum(run.state == FINISHED and bool(run.scores) for run in setting.runs) - len(setting.counted)
        for setting in report.settings
    )
    differing = {name: counts for name, entries in values.items() if len(counts := Counter(entries)) > 1}
    rows = [
        {"name": name, "counts": counts.most_common(MAX_VALUES), "more": max(0, len(counts) - MAX_VALUES)}
        for name, counts in differing.items()
    ]
    return {"rows": rows, "partial": partial, "repeated": repeated} if rows or partial or repeated else None


def describe_all_runs(report: Report) -> Data:
    """Return the table of all runs, and the page with several of them under the same sliders, where there is one."""
    return {"table": make_runs_table(report), "sliders": find_sliders(report, report.folder)}


SECTIONS: tuple[tuple[str, str, Callable[[Report], Data | None]], ...] = (  # template and id, heading, its data
    ("scores", "Leaderboard", describe_leaderboard),
    ("trade-off", "Disentanglement against reconstruction", describe_trade_off),
    ("sweeps", "Scores along each swept number", describe_sweeps),
    ("udr", "Model selection without labels", describe_udr),
    ("study", "What the scores agree on, and what decides them", describe_study),
    ("pictures", "What the latents do", describe_latents),
    ("troubles", "Failures and skipped scores", describe_troubles),
    ("differences", "What else differs between the runs", describe_differences),
    ("runs", "All runs", describe_all_runs),
)
