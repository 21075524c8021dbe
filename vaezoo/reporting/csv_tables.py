"""The tables of a report as CSV, at full precision."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from typing import Any

from vaezoo.errors import make_printable
from vaezoo.reporting.report_data import Report
from vaezoo.reporting.score_selection import list_scores
from vaezoo.reporting.settings import list_differing_keys
from vaezoo.reporting.summary import mean


def write_runs_table(report: Report) -> str:
    """Return one row for each run, with every key that differs and every score."""
    keys, names = list_differing_keys(report.runs), list_scores(report.runs)
    rows = [
        [
            os.path.relpath(run.folder, report.folder),
            run.state,
            *(run.config.get(key) for key in keys),
            *(run.scores.get(name, "") for name in names),
            run.error,
            run.early,
        ]
        for run in report.runs
    ]
    return write_csv(["run", "state", *keys, *names, "error", "stopped"], rows)


def write_settings_table(report: Report) -> str:
    """Return one row for each setting, with mean, half of the interval and number of seeds of the shown scores."""
    heads = [f"{name}{part}" for name in report.scores for part in ("", "/half", "/n")]
    rows = []
    for setting, rank in zip(report.settings, report.mean_ranks, strict=True):
        means = [mean(setting.scores(name)) for name in report.scores]
        cells = [cell for summary in means for cell in (summary.value, summary.half, summary.n)]
        rows.append([*setting.values.values(), len(setting.counted), rank, *cells])
    return write_csv([*report.keys, "seeds", "rank", *heads], rows)


def write_csv(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV, in which no text is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([make_cell(head) for head in heads])
    writer.writerows([[make_cell(cell) for cell in row] for row in rows])
    return out.getvalue()


def make_cell(value: Any) -> Any:
    """Return a value as a cell: None and NaN empty, a text that a spreadsheet would compute with a quote in front."""
    if isinstance(value, str):
        text = make_printable(value)
        return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text
    return "" if value is None or value != value else value
