"""Tables of the page as plain data; templates/tables.html makes HTML of them."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np

from vaezoo.metrics.directions import direction
from vaezoo.reporting.charts import add_arrow, round_to_interval, use_minus
from vaezoo.reporting.reading import Run
from vaezoo.reporting.report_data import Report, order_by_rank
from vaezoo.reporting.settings import SEED, Setting, format_value, last_name, list_swept_keys
from vaezoo.reporting.summary import Mean, mean

SLIDERS = "explore.html"  # the page of `python -m vaezoo.explore`
MIN_FILTERED_ROWS = 6  # fewer rows need no filter
MAX_CHOICES = 60  # values of a column that a menu can hold


@dataclass(frozen=True)
class Link:
    """A text that leads to a folder, if the folder exists."""

    text: str
    href: str | None = None


@dataclass(frozen=True)
class Cell:
    """A text or links; `half` is that of an interval, `note` is small and in brackets."""

    text: str = ""
    sort_value: str | None = None  # where the text itself does not sort
    style: str = ""  # classes of page.css
    half: str = ""
    note: str = ""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Column:
    """The head of a column."""

    label: str
    hint: str = ""
    style: str = ""
    descending: bool = False  # in the first order that a click gives


@dataclass(frozen=True)
class Row:
    """Cells; `id` is what links on the page lead to."""

    cells: list[Cell]
    id: str = ""


@dataclass(frozen=True)
class Table:
    """A table that sorts, and filters by words and by the values of some columns."""

    id: str
    columns: list[Column]
    rows: list[Row]
    filtered_columns: Sequence[int] = field(default=())

    @property
    def has_filters(self) -> bool:
        """Return whether the table is long enough for filters."""
        return len(self.rows) >= MIN_FILTERED_ROWS

    @property
    def menus(self) -> dict[int, list[str]]:
        """Return the different texts of every filtered column that a menu can hold, by the column's index."""
        menus = {i: list(dict.fromkeys(row.cells[i].text for row in self.rows)) for i in self.filtered_columns}
        return {i: texts for i, texts in menus.items() if 1 < len(texts) <= MAX_CHOICES}


def make_link(report: Report, folder: Path, text: str | None = None) -> Link:
    """Return a link to a run folder, relative to the page; its text is the path unless there is another."""
    path = os.path.relpath(folder, report.folder)
    return Link(path if text is None else text, f"{quote(path)}/" if os.path.isdir(folder) else None)


def find_sliders(report: Report, folder: Path) -> tuple[Link, ...]:
    """Return a link to the page of sliders in a folder, or nothing where there is none."""
    page = folder / SLIDERS
    if not os.path.isfile(page):  # False, and no error, for a name that is too long for a file.
        return ()
    return (Link("sliders", quote(os.path.relpath(page, report.folder))),)


def make_key_columns(keys: Iterable[str]) -> list[Column]:
    """Return the columns of swept keys."""
    return [Column(last_name(key), hint=key, style="l") for key in keys]


def make_value_cells(values: Iterable[object]) -> list[Cell]:
    """Return the cells of values of a configuration."""
    return [Cell(format_value(value), style="l") for value in values]


def make_score_column(name: str, report: Report) -> Column:
    """Return the column of a score; its hint has the direction and the floors."""
    way = direction(name, report.recorded)
    hint = {1: "higher is better", -1: "lower is better", 0: "neither high nor low is better"}[way]
    for kind, label in (("noise", "noise"), ("constant", "constant codes")):
        values = [float(run.floors[name][kind]) for run in report.runs if name in run.floors]
        if finite := [value for value in values if np.isfinite(value)]:
            ends = dict.fromkeys(use_minus(f"{end:.3g}") for end in (min(finite), max(finite)))
            hint += f"; {label}: {' to '.join(ends)}"
    return Column(add_arrow(name, report.recorded), hint, descending=way == 1)


def make_state_cell(run: Run) -> Cell:
    """Return the state of a run, and what has ended its training early."""
    text = f"{run.state}, stopped {run.early}" if run.early else run.state
    return Cell(text, style=f"l state-{run.state.split()[0]}")


def format_exactly(value: float) -> str:
    """Return a number with all its digits, "" if it is not finite."""
    return repr(float(value)) if np.isfinite(value) else ""


# ---- the large tables --------------------------------------------------------------------------------------------


def make_leaderboard(report: Report) -> Table:
    """Return one row for each setting with a finished run, by rank."""
    means = {name: [mean(setting.scores(name)) for setting in report.settings] for name in report.scores}
    best = {
        name: find_best([summary.value for summary in means[name]], direction(name, report.recorded))
        for name in report.scores
    }
    rows = []
    for i in order_by_rank(report.settings, report.mean_ranks):
        setting = report.settings[i]
        links = tuple(
            make_link(report, run.folder, format_value(run.config.get(SEED, "run"))) for run in setting.counted
        )
        cells = [
            make_rank_cell(report, setting, report.mean_ranks[i]),
            *make_value_cells(setting.values.values()),
            Cell(links=links, sort_value=str(len(links)), style="l"),
            *(
                make_mean_cell(means[name][i], best[name], len(links), setting.is_at_floor(name))
                for name in report.scores
            ),
        ]
        rows.append(Row(cells, setting.id))
    columns = [
        Column("rank ↓", hint="mean of the ranks in the ranked scores"),
        *make_key_columns(report.keys),
        Column("seeds", style="l"),
        *(make_score_column(name, report) for name in report.scores),
    ]
    return Table("leaderboard", columns, rows, range(1, 1 + len(report.keys)))


def find_best(values: Sequence[float], way: int) -> float:
    """Return the best of the finite values; NaN without one, or where no direction is better."""
    finite = [value for value in values if np.isfinite(value)]
    return way * max(way * value for value in finite) if way and finite else np.nan


def make_rank_cell(report: Report, setting: Setting, rank: float) -> Cell:
    """Return the rank of a setting, with the number of its ranked scores if some are missing."""
    available = sum(mean(setting.scores(name)).n > 0 for name in report.ranked)
    total = len(report.ranked)
    note = f"{available} of {total}" if available < total else ""
    return Cell(f"{rank:.1f}" if available else "", format_exactly(rank), note=note if available else "")


def make_mean_cell(summary: Mean, best: float, seeds: int, at_floor: bool) -> Cell:
    """Return a mean with its interval, the number of values if some seeds lack the score, and whether it is a floor."""
    text, half = round_to_interval(summary.value, summary.half)
    note = ", ".join([str(summary.n)] * (0 < summary.n < seeds) + ["floor"] * at_floor)
    return Cell(text, format_exactly(summary.value), "best" if summary.value == best else "", half, note)


def make_runs_table(report: Report) -> Table:
    """Return one row for each run."""
    keys = list_swept_keys(report.runs)
    names = [name for name in report.scores if any(name in run.scores for run in report.runs)]
    rows = []
    for run in report.runs:
        links = (make_link(report, run.folder), *find_sliders(report, run.folder))
        cells = [Cell(links=links, style="l"), make_state_cell(run)]
        cells += make_value_cells([*(run.config.get(key) for key in keys), run.config.get(SEED)])
        for name in names:
            value = run.scores.get(name, np.nan)
            note = "floor" if run.floors.get(name, {}).get("reached") else ""
            cells.append(
                Cell(use_minus(f"{value:.5g}") if name in run.scores else "", format_exactly(value), note=note)
            )
        rows.append(Row(cells))
    columns = [
        Column("run", style="l"),
        Column("state", style="l"),
        *make_key_columns(keys),
        Column("seed", style="l"),
        *(make_score_column(name, report) for name in names),
    ]
    return Table("all-runs", columns, rows, range(1, 3 + len(keys)))
