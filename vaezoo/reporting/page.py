"""The page: one HTML file that opens from disk, sorts and filters where scripts run, and reads the same on paper."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from vaezoo.errors import UserError
from vaezoo.metrics.directions import direction
from vaezoo.reporting import traversals
from vaezoo.reporting.charts import (
    Chart,
    along_key,
    by_model,
    for_browser,
    for_paper,
    key_svg,
    minus,
    number_keys,
    rounded,
    trade_off,
    udr_chart,
)
from vaezoo.reporting.reading import FAILED, FINISHED, NEW, RUNNING, STOPPED, Run
from vaezoo.reporting.settings import SEED, Setting, last, swept, text
from vaezoo.reporting.summary import LEVEL, mean, rank_correlation

HERE = Path(__file__).parent
PLOTLY = HERE / "plotly" / "plotly-basic.min.js"
PICTURES = ("reconstructions", "samples", "curves")


@dataclass(frozen=True)
class Report:
    """What the page shows."""

    title: str
    place: Path  # the folder of the page, which links are relative to
    runs: list[Run]
    keys: list[str]  # that tell settings apart
    settings: list[Setting]
    names: list[str]  # the columns of the leaderboard
    ranked: list[str]
    rank: np.ndarray  # (settings,)
    x: str | None
    y: list[str]
    chosen: list[Run]  # shown with pictures, the best first

    @property
    def models(self) -> list[str]:
        return list(by_model([setting for setting in self.settings if setting.counted]))

    def link(self, folder: Path, shown: str | None = None) -> str:
        path = os.path.relpath(folder, self.place)
        if not folder.is_dir():
            return escape(path if shown is None else shown)
        there = escape(quote(path)) + "/"
        return f'<a href="{there}">{escape(path if shown is None else shown)}</a>'


def page(report: Report) -> str:
    parts = [part for make in SECTIONS if (part := make(report))]
    contents = "".join(f'<li><a href="#{key}">{escape(name)}</a></li>' for key, name, _ in parts)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-head"><h2 id="{key}-head">{escape(name)}</h2>{inner}</section>'
        for key, name, inner in parts
    )
    scripts = f"<script>{(HERE / 'page.js').read_text()}</script>"
    if 'class="chart"' in body:
        scripts = f"<script>{PLOTLY.read_text()}</script>{scripts}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(report.title)}</title>'
        f"<style>{(HERE / 'page.css').read_text()}</style></head><body>"
        f'<a class="skip" href="#{parts[0][0]}">Skip to the first section</a>{head(report)}'
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav><main>{body}</main>'
        "<footer>Made by <code>python -m vaezoo.report</code> from run folders alone.</footer>"
        f"{scripts}</body></html>\n"
    )


def head(report: Report) -> str:
    states = Counter(run.state for run in report.runs)
    facts = [("runs", len(report.runs), ""), *((state, states[state], "") for state in (FINISHED,) if states[state])]
    facts += [(state, states[state], ' class="bad"') for state in (FAILED, STOPPED) if states[state]]
    facts += [(state, states[state], "") for state in (RUNNING, NEW) if states[state]]
    seeds = {str(run.config[SEED]) for run in report.runs if SEED in run.config}
    facts += [("settings", len(report.settings), ""), ("seeds", len(seeds), "")]
    told = "".join(f"<li{mark}><b>{count}</b> <span>{escape(name)}</span></li>" for name, count, mark in facts)
    data = sorted({text(run.config.get("dataset")) for run in report.runs if run.config.get("dataset")})
    models = sorted({text(run.config.get("model")) for run in report.runs if run.config.get("model")})
    lead = " on ".join(listed(names) for names in (models, data) if names)
    days = sorted({run.started[:10] for run in report.runs if run.started})
    when = f" · begun {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""
    return (
        f'<header><h1>{escape(report.title)}</h1><p class="lead">{escape(lead)}{when}</p>'
        f'<ul class="facts">{told}</ul></header>'
    )


def breakable(name: str) -> str:
    """A name with underscores, as the head of a column that may be narrow."""
    return escape(name).replace("_", "_<wbr>")


def listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"


def count(number: int, one: str) -> str:
    return f"{number:,} {one}{'s' * (number != 1)}"


# ---- tables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    html: str
    value: str | None = None  # what it is sorted by, where that is not what is written
    kind: str = ""  # of CSS


def table(
    identity: str,
    heads: Sequence[Cell],
    rows: Iterable[tuple[str, Sequence[Cell]]],
    *,
    caption: str = "",
    filters: Sequence[int] = (),
    sortable: bool = True,
) -> str:
    """Rows with their own ids; `filters` are the columns that get a choice of their values."""
    kept = [(key, list(cells)) for key, cells in rows]
    if not kept:
        return ""
    top = "".join(f'<th scope="col"{kind(cell.kind)}{cell.value or ""}>{cell.html}</th>' for cell in heads)
    lines = "".join(
        f"<tr{f' id={key}' if key else ''}>" + "".join(body_cell(cell) for cell in cells) + "</tr>"
        for key, cells in kept
    )
    controls = ""
    if sortable and len(kept) > 5:
        choices = "".join(chooser(heads[column], column, [cells[column] for _, cells in kept]) for column in filters)
        controls = (
            f'<form class="controls" data-table="{identity}" role="search"><label>Filter by words'
            f'<input type="search" placeholder="such as dipvae 10"></label>{choices}'
            '<button type="reset">Clear</button><output aria-live="polite"></output></form>'
        )
    title = f"<caption>{caption}</caption>" if caption else ""
    name = ' class="sortable"' if sortable else ""
    return (
        f'{controls}<div class="scroll" tabindex="0" role="region" aria-label="{escape(identity)}">'
        f'<table id="{identity}"{name}>{title}<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'
    )


def kind(name: str) -> str:
    return f' class="{name}"' if name else ""


def body_cell(cell: Cell) -> str:
    value = f' data-v="{escape(cell.value)}"' if cell.value is not None else ""
    return f"<td{kind(cell.kind)}{value}>{cell.html}</td>"


def chooser(head: Cell, column: int, cells: Sequence[Cell]) -> str:
    values = list(dict.fromkeys(cell.html for cell in cells))
    if not 1 < len(values) <= 60:
        return ""
    options = "".join(f'<option value="={value}">{value or "none"}</option>' for value in values)
    return f'<label>{head.html}<select data-column="{column}"><option value="*">any</option>{options}</select></label>'


def titled(name: str) -> Cell:
    """The head of a score; the best come first when it is sorted."""
    way = direction(name)
    sign = {1: " ↑", -1: " ↓", 0: ""}[way]
    told = {1: "higher is better", -1: "lower is better", 0: "neither high nor low is better"}[way]
    return Cell(f'<span title="{told}">{breakable(name)}{sign}</span>', " data-down" if way == 1 else "")


def setting_cells(values: Iterable[object]) -> list[Cell]:
    return [Cell(escape(text(value)), kind="l") for value in values]


def exact(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else ""


# ---- sections ----------------------------------------------------------------------------------------------------

Section = tuple[str, str, str] | None  # identity, heading, content


def leaderboard(report: Report) -> Section:
    if not any(setting.counted for setting in report.settings):
        return "scores", "Scores", "<p>No run is finished yet.</p>"
    means = {name: [mean(setting.scores(name)) for setting in report.settings] for name in report.names}
    best = {}
    for name in report.names:
        signed = direction(name) * np.array([one.value for one in means[name]])
        best[name] = np.nanmax(signed) if direction(name) and np.isfinite(signed).any() else np.nan
    order = sorted(range(len(report.settings)), key=lambda i: (not np.isfinite(report.rank[i]), report.rank[i]))
    rows = []
    for i in order:
        setting = report.settings[i]
        if not setting.counted:
            continue
        links = " ".join(report.link(run.folder, text(run.config.get(SEED, "run"))) for run in setting.counted)
        known = sum(mean(setting.scores(name)).n > 0 for name in report.ranked)
        fewer = f" <small>({known} of {len(report.ranked)})</small>" if known < len(report.ranked) else ""
        cells = [Cell(f"{report.rank[i]:.1f}{fewer}" if known else "", exact(report.rank[i]))]
        cells += [*setting_cells(setting.values.values()), Cell(links, str(len(setting.counted)), "l")]
        for name in report.names:
            one = means[name][i]
            value, half = rounded(one.value, one.half)
            fewer = f" <small>({one.n})</small>" if 0 < one.n < len(setting.counted) else ""
            spread = f' <span class="half">± {half}</span>' if half else ""
            top = "best" if direction(name) * one.value == best[name] else ""
            cells.append(Cell(f"{value}{spread}{fewer}", exact(one.value), top))
        rows.append((setting.id, cells))
    heads = [Cell('<span title="mean of the ranks in the ranked scores">rank ↓</span>')]
    heads += [Cell(f'<span title="{escape(key)}">{breakable(last(key))}</span>', kind="l") for key in report.keys]
    heads += [Cell("seeds", kind="l"), *map(titled, report.names)]
    some = "".join(f"<code>{escape(name)}</code>, " for name in report.ranked).removesuffix(", ")
    told = (
        f"<p>One row a setting: mean over seeds ± half of its {LEVEL:.0%} interval (Student’s t; one seed has none)."
        " The best mean of a column is bold. ↑ higher is better, ↓ lower. "
        + (f"<b>rank</b> is the mean of the ranks in {some}. " if report.ranked else "")
        + "Seeds link to run folders.</p>"
    )
    return (
        "scores",
        "Leaderboard",
        told + table("leaderboard", heads, rows, filters=range(1, 1 + len(report.keys))),
    )


def legend(report: Report) -> str:
    models = report.models
    keys = "".join(f"<li>{key_svg(models, model)}{escape(model)}</li>" for model in models)
    return f'<ul class="legend" aria-label="Models">{keys}</ul>'


def figures(report: Report, charts: Sequence[Chart], notes: Sequence[str] = (), size: str = "") -> str:
    shown = []
    models = report.models
    for i, chart in enumerate(charts):
        if not chart.curves:
            continue
        data = (
            json.dumps(for_browser(chart, models), separators=(",", ":")).replace("NaN", "null").replace("</", "<\\/")
        )
        title = escape(f"{chart.y_label} against {chart.x_label}")
        still = traversals.data_url(for_paper(chart, models), "svg+xml")
        note = f"<figcaption>{notes[i]}</figcaption>" if notes else ""
        shown.append(
            f'<figure><h4>{escape(chart.y_label)}</h4><div class="chart" role="img" aria-label="{title}"></div>'
            f'<img alt="{title}" src="{still}"><script type="application/json">{data}</script>{note}</figure>'
        )
    return f'<div class="charts{size}">{"".join(shown)}</div>' if shown else ""


def trade_offs(report: Report) -> Section:
    group = [setting for setting in report.settings if setting.counted]
    charts = [trade_off(group, report.x, y) for y in report.y] if report.x else []
    charts = [chart for chart in charts if chart.curves]
    if not charts:
        return None
    of = {setting.id: setting.label for setting in group}
    notes = [
        "On the front: "
        + ", ".join(f'<a href="#{one.anchor}">{escape(of[one.anchor])}</a>' for one in chart.on_front)
        + "."
        if chart.on_front
        else ""
        for chart in charts
    ]
    told = (
        "<p>Each point is a setting, with intervals over its seeds. A line joins the settings of a model along its"
        " weight, which stands beside the point. On the broad grey line (Pareto front, ringed) are the settings that no"
        " other beats in one score without losing in the other. Wide intervals end at the frame.</p>"
    )
    return "trade-off", "Disentanglement against reconstruction", told + legend(report) + figures(report, charts, notes)


def sweeps(report: Report) -> Section:
    group = [setting for setting in report.settings if setting.counted]
    names = [name for name in [*report.y, report.x] if name]
    parts = []
    for key in number_keys(group):
        charts = [along_key(group, key, name) for name in names]
        charts = [chart for chart in charts if any(len(curve.points) > 1 for curve in chart.curves)]
        if drawn := figures(report, charts, size=" small"):
            parts.append(f"<h3><code>{escape(key)}</code></h3>{drawn}")
    if not parts:
        return None
    told = (
        "<p>Means over seeds with their intervals. Values that span a decade stand on a logarithmic axis,"
        " 0 before it.</p>"
    )
    return "sweeps", "Scores along each swept number", told + legend(report) + "".join(parts)


def without_labels(report: Report) -> Section:
    """UDR beside supervised scores, where both are known."""
    finished = [run for run in report.runs if run.state == FINISHED]
    agree = [
        name for name in ("udr_lasso", "udr_spearman", "udr_lasso_a2a") if any(name in run.scores for run in finished)
    ]
    if not agree:
        return None
    others = [name for name in report.y if not name.startswith("udr")]
    of = {run.folder: setting for setting in report.settings for run in setting.runs}
    charts, notes, rows = [], [], []
    for name in agree[:2]:
        for other in others:
            both = [run for run in finished if name in run.scores and other in run.scores]
            if len(both) < 3:
                continue
            r, n = rank_correlation(*([run.scores[one] for run in both] for one in (name, other)))
            charts.append(udr_chart(both, of, name, other))
            told = minus(f"{round(r, 2) + 0.0:.2f}") if np.isfinite(r) else "not defined"
            notes.append(f"Spearman’s ρ = {told} over {n} runs")
            rows.append(("", [Cell(name, kind="l"), Cell(other, kind="l"), Cell(told, exact(r)), Cell(str(n))]))
    heads = [Cell("UDR", kind="l"), Cell("score", kind="l"), Cell("ρ"), Cell("runs")]
    told = (
        "<p>UDR asks how far the codes of a run agree with those of the runs beside it, and needs no factors"
        " (Duan et al., 2020). Where it orders the runs as a supervised score does, it can choose in its place."
        " Its means over settings are in the leaderboard.</p>"
    )
    shown = figures(report, charts, notes)
    return (
        "udr",
        "Model selection without labels",
        told + (legend(report) + shown + table("agreement", heads, rows, sortable=False) if rows else ""),
    )


def side_by_side(report: Report) -> Section:
    found, parts = [], []
    for run in report.chosen:
        try:
            rows = traversals.read(run.folder)
        except UserError as damage:
            parts.append(f'<p class="note">{escape(str(damage))}</p>')
            continue
        if rows is not None:
            found.append((run, rows))
    of = {run.folder: setting.label for setting in report.settings for run in setting.runs}

    def name(run: Run) -> str:
        seed = f", seed {run.config[SEED]}" if SEED in run.config else ""
        return f"{report.link(run.folder, of.get(run.folder, run.folder.name))}{escape(seed)}"

    if found:
        lines, rest = traversals.aligned([rows for _, rows in found])
        heads = "".join(f'<th scope="col">{original(rows)}{name(run)}</th>' for run, rows in found)
        body = ["".join(row_cell(rows, one) for (_, rows), one in zip(found, line, strict=True)) for line in lines]
        depth = max(map(len, rest))
        tail = [
            "".join(
                row_cell(rows, traversals.Match(left[i], np.nan) if i < len(left) else None, blank=True)
                for (_, rows), left in zip(found, rest, strict=True)
            )
            for i in range(depth)
        ]
        split = (
            f'<tr><th colspan="{len(found)}" scope="rowgroup">Latents without a counterpart</th></tr>' if tail else ""
        )
        inner = "".join(f"<tr>{row}</tr>" for row in body) + split + "".join(f"<tr>{row}</tr>" for row in tail)
        parts.append(
            "<p>Each row moves one latent of one image. The rows of the first run set the order; those of the others"
            " stand where their codes correlate with them most over the images that both have encoded, one"
            f" to one. Below |r| = {traversals.LEAST} there is no counterpart. Where r is negative the row is turned"
            " around (⇄).</p>"
            f'<div class="scroll" tabindex="0" role="region" aria-label="traversals"><table class="rows">'
            f"<thead><tr>{heads}</tr></thead><tbody>{inner}</tbody></table></div>"
        )
    drawn = [(run, picture) for run in report.chosen for kind in PICTURES if (picture := embedded(run.folder, kind))]
    if drawn:
        blocks = []
        for run in report.chosen:
            if mine := "".join(picture for one, picture in drawn if one is run):
                blocks.append(f'<h3>{name(run)}</h3><div class="pictures">{mine}</div>')
        parts.append(f"<details open><summary>Reconstructions, samples and curves</summary>{''.join(blocks)}</details>")
    return ("pictures", "What the latents do", "".join(parts)) if parts else None


def original(rows: traversals.Rows) -> str:
    source, width, height = traversals.strip(rows.original[None])
    small = ' class="pixels"' if rows.original.shape[-2] < height else ""
    return f'<img{small} alt="the image that is moved" width="{width}" height="{height}" src="{source}">'


def row_cell(rows: traversals.Rows, one: traversals.Match | None, blank: bool = False) -> str:
    if one is None:
        return "<td></td>" if blank else '<td class="none"><small>no counterpart</small></td>'
    images = rows.images[one.row]
    source, width, height = traversals.strip(images[::-1] if one.turned else images)
    facts = [f"z{rows.dims[one.row]}"]
    if np.isfinite(rows.kl[one.row]):
        facts.append(f"{rows.kl[one.row]:.2f} nats")
    if np.isfinite(one.r):
        facts.append(f"r {minus(f'{one.r:.2f}')}{' ⇄' if one.turned else ''}")
    small = ' class="pixels"' if images.shape[-2] < height else ""
    told = " · ".join(facts)
    picture = f'<img{small} alt="traversal of {told}" width="{width}" height="{height}" src="{source}">'
    return f"<td>{picture}<small>{told}</small></td>"


def embedded(folder: Path, name: str) -> str:
    path = folder / "figures" / f"{name}.png"
    if not path.is_file():
        return ""
    source = traversals.data_url(path.read_bytes(), "png")
    return f'<figure><img alt="{name}" src="{source}"></figure>'


def troubles(report: Report) -> Section:
    parts = []
    bad = [run for run in report.runs if run.state != FINISHED]
    if bad:
        heads = [Cell("run", kind="l"), Cell("state", kind="l"), Cell("why", kind="l")]
        rows = [
            (
                "",
                [
                    Cell(report.link(run.folder), kind="l"),
                    Cell(run.state, kind=f"l state-{run.state.split()[0]}"),
                    Cell(escape(run.error), kind="wrap"),
                ],
            )
            for run in sorted(bad, key=lambda run: (STATES.index(run.state), str(run.folder)))
        ]
        parts.append(f"<h3>{count(len(bad), 'run')} not finished</h3>")
        parts.append(table("failures", heads, rows, filters=[1]))
    reasons: dict[tuple[str, str], list[Run]] = {}
    for run in report.runs:
        for metric, why in run.skipped.items():
            reasons.setdefault((why, metric), []).append(run)
    grouped: dict[tuple[str, int, str], list[str]] = {}
    for (why, metric), runs in reasons.items():
        models = listed(sorted({text(run.config.get("model")) for run in runs}))
        grouped.setdefault((why, len(runs), models), []).append(metric)
    if grouped:
        heads = [Cell("scores", kind="l"), Cell("runs"), Cell("models", kind="l"), Cell("why", kind="l")]
        rows = [
            (
                "",
                [
                    Cell(escape(", ".join(metrics)), kind="wrap"),
                    Cell(str(many)),
                    Cell(escape(models), kind="l"),
                    Cell(escape(why), kind="wrap"),
                ],
            )
            for (why, many, models), metrics in grouped.items()
        ]
        parts += ["<h3>Scores that were skipped</h3>", table("skipped", heads, rows, sortable=False)]
    return ("troubles", "Failures and skipped scores", "".join(parts)) if parts else None


STATES = (FAILED, STOPPED, RUNNING, NEW, FINISHED)


def differences(report: Report) -> Section:
    """What should be the same in all runs and is not."""
    rows: list[tuple[str, list[Cell]]] = []

    def compare(what: str, held: Callable[[Run], str], within: Sequence[Run]) -> None:
        values = Counter(held(run) for run in within)
        if len(values) > 1:
            told = "<br>".join(
                f"{escape(value or 'not said')} <small>({count(n, 'run')})</small>"
                for value, n in values.most_common(8)
            )
            more = f"<br>and {len(values) - 8} more" if len(values) > 8 else ""
            rows.append(("", [Cell(escape(what), kind="l"), Cell(told + more, kind="wrap")]))

    scored = [run for run in report.runs if run.scores]
    made = [run for run in scored if run.made]
    of_some = []
    for key in dict.fromkeys(key for run in made for key in run.made):
        having = [run for run in made if key in run.made]
        compare(key, lambda run, key=key: run.made[key], having)  # type: ignore[misc]
        of_some += [key] if len(having) < len(made) else []
    if of_some:
        rows.append(("", [Cell("only in some", kind="l"), Cell(escape(", ".join(of_some)), kind="wrap")]))
    compare("data", lambda run: run.data, scored)
    for metric in dict.fromkeys(metric for run in scored for metric in run.protocols):
        having = [run for run in scored if metric in run.protocols]
        compare(f"protocol of {metric}", lambda run, metric=metric: run.protocols[metric], having)  # type: ignore[misc]
    repeated = sum(
        sum(run.state == FINISHED and bool(run.scores) for run in one.runs) - len(one.counted)
        for one in report.settings
    )
    parts = []
    if repeated:
        parts.append(
            f"<p>{count(repeated, 'run')} repeat the setting and the seed of a newer one and do not count in the"
            " means.</p>"
        )
    if rows:
        heads = [Cell("", kind="l"), Cell("values", kind="l")]
        parts.append(
            "<p>These are not the same in all scored runs. Scores under different protocols do not compare.</p>"
        )
        parts.append(table("differences", heads, rows, sortable=False))
    if not parts:
        return None
    return "differences", "What else differs between the runs", "".join(parts)


def every_run(report: Report) -> Section:
    keys = swept(report.runs)
    names = [name for name in report.names if any(name in run.scores for run in report.runs)]
    heads = [Cell("run", kind="l"), Cell("state", kind="l"), *(Cell(breakable(last(key)), kind="l") for key in keys)]
    heads += [Cell("seed", kind="l"), *map(titled, names)]
    rows = []
    for run in report.runs:
        cells = [Cell(report.link(run.folder), kind="l"), Cell(run.state, kind=f"l state-{run.state.split()[0]}")]
        cells += setting_cells([*(run.config.get(key) for key in keys), run.config.get(SEED)])
        for name in names:
            value = run.scores.get(name, np.nan)
            cells.append(Cell(minus(f"{value:.5g}") if name in run.scores else "", exact(value)))
        rows.append(("", cells))
    told = (
        "<p>Each links to its folder, where <code>metrics.json</code> has all scores with their protocols, rows and"
        " seconds. All scores of all runs at full precision: <code>report.csv</code> beside this page.</p>"
    )
    return "runs", "All runs", told + table("all-runs", heads, rows, filters=range(1, 3 + len(keys)))


SECTIONS: tuple[Callable[[Report], Section], ...] = (
    leaderboard,
    trade_offs,
    sweeps,
    without_labels,
    side_by_side,
    troubles,
    differences,
    every_run,
)
